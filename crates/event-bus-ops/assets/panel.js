// What pages do better with scripts. Everything works without, and texts of others stay texts.
"use strict";
// A box that chooses all others of its form.
for (const all of document.querySelectorAll("input[data-all]")) {
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const one of all.form.querySelectorAll(`input[name="${all.dataset.all}"]`)) {
      one.checked = all.checked;
    }
  });
}
// A table of what comes.
for (const body of document.querySelectorAll("tbody[data-live]")) {
  const rows = 200;
  const told = document.getElementById("live-told");
  const stop = document.getElementById("live-stop");
  const source = new EventSource(body.dataset.live);
  let came = 0;
  let leftOut = 0;
  const count = () => {
    told.textContent = `${came} came since you look` + (leftOut ? `, ${leftOut} left out: more than could be shown` : "");
  };
  const end = (why) => {
    source.close();
    stop.hidden = true;
    told.textContent = `${why} Load the page again to go on.`;
  };
  const made = (name, text, parent) => {
    const element = document.createElement(name);
    element.textContent = text;
    return parent.appendChild(element);
  };
  const cell = (row, label, text) => {
    const cell = made("td", "", row);
    cell.dataset.label = label;
    return text === undefined ? cell : made(label === "Payload" ? "code" : "span", text, cell);
  };
  source.addEventListener("open", () => { stop.hidden = false; count(); });
  source.addEventListener("came", ({ data }) => {
    const event = JSON.parse(data);
    const row = document.createElement("tr");
    const first = made("th", "", row);
    first.scope = "row";
    const name = made(event.timeline ? "a" : "span", event.event, first);
    if (event.timeline) name.href = event.timeline;
    made("span", event.published, first).className = "under";
    const time = made("time", new Date(event.at).toLocaleTimeString(), cell(row, "Came"));
    time.dateTime = time.title = event.at;
    cell(row, "Tenant", event.tenant);
    cell(row, "Key", event.key);
    cell(row, "Payload", event.payload);
    cell(row, "Where", event.place).className = "under";
    body.prepend(row);
    while (body.rows.length > rows) body.lastElementChild.remove();
    came += 1;
    count();
  });
  source.addEventListener("left-out", ({ data }) => { leftOut += JSON.parse(data); count(); });
  source.addEventListener("end", ({ data }) => end(`It ended, for ${JSON.parse(data)}.`));
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) end("It ended.");
    else told.textContent = "The connection is gone; it is tried again.";
  });
  stop.addEventListener("click", () => end("Stopped."));
}
