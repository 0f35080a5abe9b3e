/* What the panel's pages can do with a script; without it they still work. No inline script anywhere, so that a strict CSP holds. */
"use strict";

/* Times are shown as the viewer's clock has them: the server learns the zone by a cookie, and renders once more. */
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.split("; ").includes(`backups_zone=${zone}`)) {
    document.cookie = `backups_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
    const isKept = document.cookie.split("; ").includes(`backups_zone=${zone}`);
    if (isKept && document.querySelector("meta[name=backups-can-reload]") && document.querySelector("main time")) location.reload();
}

document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = button.dataset.copy || button.parentElement.querySelector("code").textContent;
    const label = button.firstChild, before = label.textContent;
    try {
        await navigator.clipboard.writeText(text);
        label.textContent = button.dataset.copied || "\u2713";
    } catch {
        const code = button.parentElement.querySelector("code");
        if (code) getSelection().selectAllChildren(code);
        return;
    }
    setTimeout(() => { label.textContent = before; }, 1500);
});

/* Of the filters only one is open. */
document.addEventListener("toggle", (event) => {
    if (!event.target.matches("details.facet[open]")) return;
    for (const other of document.querySelectorAll("details.facet[open]")) if (other !== event.target) other.open = false;
}, true);

/* One box selects all rows of a page. Without a script it could do nothing, so it is hidden. */
for (const all of document.querySelectorAll("[data-pick-all]")) {
    const boxes = () => all.closest("table").querySelectorAll("tbody .pick input");
    all.hidden = false;
    all.addEventListener("change", () => { for (const box of boxes()) box.checked = all.checked; });
}
