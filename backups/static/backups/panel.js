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
        label.textContent = "\u2713";
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

/* Escape closes it, and brings one back to what opened it; so does a click elsewhere, which goes where it was meant to. */
document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.querySelector("details.facet[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
});
document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.facet[open]")) {
        if (open.contains(event.target)) continue;
        open.open = false;
        if (!event.target.closest("a, button, input, select, summary, label")) open.querySelector("summary").focus();
    }
});

/* A session that has ended answers a live part with the page to sign in: that is to be seen whole. */
document.addEventListener("htmx:beforeSwap", (event) => {
    const asked = new URL(event.detail.pathInfo.requestPath, location.href).pathname;
    if (new URL(event.detail.xhr.responseURL).pathname === asked) return;
    event.detail.shouldSwap = false;
    location.reload();
});

/* What stands against a page that is fetched in a second step takes its place, as it would have come at once. */
document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.detail.isError || !event.detail.requestConfig.elt.matches("[data-soon]")) return;
    if (!event.detail.xhr.getResponseHeader("Content-Type")?.startsWith("text/html")) return;
    if (!new DOMParser().parseFromString(event.detail.serverResponse, "text/html").querySelector(".bk")) return; /* a proxy's page, say */
    event.detail.shouldSwap = true;
    event.detail.isError = false;
});
document.addEventListener("htmx:afterSwap", (event) => {
    if (!event.detail.requestConfig.elt.matches("[data-soon]")) return;
    const heading = document.querySelector(".bk h1"); /* read aloud, as that of a page that has come */
    heading.tabIndex = -1;
    heading.focus();
});

/* The key of a new backup as its description is typed: as storage/keys.py makes it, by the server's clock. */
for (const shown of document.querySelectorAll("[data-key]")) {
    const output = shown.querySelector("output"), typed = document.getElementById(output.htmlFor.value);
    const ahead = Number(shown.dataset.now) - Date.now();
    const show = () => {
        const minute = new Date(Date.now() + ahead).toISOString().slice(0, 16).replace(/:/, "");
        const words = typed.value.trim(), slug = words.toLowerCase().replace(/[ -]+/g, "-").replace(/^-+|-+$/g, "");
        const fits = words.length <= typed.maxLength && /^[a-z0-9 _-]+$/i.test(words) && /[a-z0-9]/.test(slug);
        output.value = `${shown.dataset.prefix}backup-${minute}-${fits ? slug : "\u2026"}.dump`;
    };
    typed.addEventListener("input", show);
    setInterval(show, 5000);
    show();
}

/* A live part that could not be fetched says so, for how long there was no answer, and how to go on. */
let heardAt = Date.now(), isSilent = false;
const tell = () => {
    const seconds = Math.round((Date.now() - heardAt) / 1000);
    for (const shown of document.querySelectorAll("[data-lost-for]")) shown.textContent = isSilent ? shown.dataset.lostFor.replace("\u2026", seconds) : "";
};
const lost = (is) => (event) => {
    isSilent = is && event.type !== "htmx:responseError";
    if (!isSilent) heardAt = Date.now();
    document.querySelector(".bk")?.classList.toggle("is-lost", is);
    for (const note of document.querySelectorAll("[data-lost]")) note.hidden = !is;
    tell();
};
for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) document.addEventListener(name, lost(true));
document.addEventListener("htmx:afterSwap", lost(false));
if (document.querySelector("[data-lost-for]")) setInterval(tell, 1000);

/* What is gone, or is not for this viewer any more, is not asked for again: after a restore over the site's own database, so it may be. */
document.addEventListener("htmx:responseError", (event) => {
    const part = event.detail.elt;
    if (![401, 403, 404, 410].includes(event.detail.xhr.status) || !part.matches(".live")) return;
    const still = part.cloneNode(true);
    for (const name of ["hx-get", "hx-trigger"]) still.removeAttribute(name);
    part.replaceWith(still);
});

/* One box selects all rows of a page. Without a script it could do nothing, so it is hidden. */
for (const all of document.querySelectorAll("[data-pick-all]")) {
    const boxes = () => all.closest("table").querySelectorAll("tbody .pick input");
    all.hidden = false;
    all.addEventListener("change", () => { for (const box of boxes()) box.checked = all.checked; });
}
