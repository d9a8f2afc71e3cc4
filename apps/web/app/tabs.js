// Tabs as the ARIA authoring practices have them: arrow keys move, one tab is in the tab order.

/** Make the page's tabs work. */
export function startTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => show(tabs, tab));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!step) return;
      const next = tabs[(i + step + tabs.length) % tabs.length];
      show(tabs, next);
      next.focus();
    });
  });
}

/** Show the panel of that name. */
export function openTab(name) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  show(tabs, tabs.find((tab) => tab.getAttribute("aria-controls") === name));
}

function show(tabs, chosen) {
  for (const tab of tabs) {
    const is = tab === chosen;
    tab.setAttribute("aria-selected", String(is));
    tab.tabIndex = is ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !is;
  }
}
