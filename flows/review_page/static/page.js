// What every page does: navigation by keys, and the list of keys.

import { bind, showHelp } from "./keys.js";

for (const link of document.querySelectorAll("[data-nav-key]")) {
  const key = link.dataset.navKey;
  bind({ keys: [key], group: "Page", label: `Go to: ${link.textContent}`, run: () => link.click() });
}
bind({ keys: ["?"], group: "Page", label: "Show or hide this list", run: showHelp, always: true });
document.getElementById("help-button")?.addEventListener("click", showHelp);
