"""`regnet-edge bundle`: artifacts put into an app. Each kind of app is one command of this group."""

from __future__ import annotations

import click

from regnet_edge.cli._bundle_android import android
from regnet_edge.cli._bundle_web import web
from regnet_edge.cli._bundle_zip import zip_


@click.group("bundle")
def command() -> None:
    """Put converted models into an app, with the data that proves them there.

    \b
    regnet-edge bundle android out/*.tflite out/*.pte -o app.apk
    regnet-edge bundle web out/*.tflite -o page
    regnet-edge bundle zip out/* -o regnet.zip
    """


command.add_command(android)
command.add_command(web)
command.add_command(zip_)
