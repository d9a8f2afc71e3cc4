"""Prints the names of all packages that setup.cfg asks for, without their versions."""

import configparser
import re

setup = configparser.ConfigParser()
setup.read("setup.cfg")
asked = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
names = {re.split(r"[\[<>=]", line)[0].strip() for text in asked for line in text.split()}
print(*sorted(names - {"regnet-edge"}))
