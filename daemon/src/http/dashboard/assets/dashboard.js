// Keeps the figures of a page fresh and draws charts from its tables. Each page is whole without it.
"use strict";

(() => {
  const each = (selector, use) => document.querySelectorAll(selector).forEach(use);

  // --- figures

  function put(element, text) {
    if (element.textContent === text) return;
    element.textContent = text;
    element.classList.remove("fresh");
    void element.offsetWidth; // begins the animation anew
    element.classList.add("fresh");
  }

  function bar(svg, [used, reserved, kept]) {
    const place = (name, x, width) => {
      const part = svg.querySelector("." + name);
      part.setAttribute("x", x);
      part.setAttribute("width", width);
    };
    place("used", 0, used);
    place("kept", used, kept);
    place("reserved", used + kept, reserved);
  }

  function show(news) {
    const table = document.querySelector("[data-shape]");
    if (table && table.dataset.shape !== news.shape) {
      location.reload(); // other pools than the page was made for
      return;
    }
    each("[data-live]", (element) => {
      const text = news.texts[element.dataset.live];
      if (text !== undefined) put(element, text);
    });
    each("[data-bar]", (svg) => {
      const parts = news.bars[svg.dataset.bar];
      if (parts) bar(svg, parts);
    });
    each("[data-mark]", (link) => {
      link.classList.toggle("there", news.marks[link.dataset.mark] !== link.dataset.seen);
    });
    const state = document.getElementById("state");
    if (state) state.dataset.state = news.state;
  }

  // --- the stream: only while the page is seen, for a browser has few connections

  let source = null;
  let again = 0;
  let crowded = false; // one page too many: the server ends the stream, and the browser asks again after a while

  function tell(id, is_so) {
    const notice = document.getElementById(id);
    if (notice) notice.hidden = !is_so;
  }

  function lost(is_so) {
    document.body.classList.toggle("stale", is_so);
    tell("lost", is_so);
  }

  function open() {
    clearTimeout(again);
    if (source || document.hidden || !document.getElementById("state")) return;
    source = new EventSource("/dashboard/live");
    source.addEventListener("open", () => (crowded = false));
    source.addEventListener("crowded", () => (crowded = true));
    source.addEventListener("news", (event) => {
      lost(false);
      tell("crowded", crowded);
      show(JSON.parse(event.data));
    });
    source.addEventListener("end", () => {
      close();
      location.assign("/dashboard/sign-in");
    });
    source.onerror = () => {
      const was = crowded;
      crowded = false;
      if (was && source && source.readyState === EventSource.CONNECTING) return;
      lost(true);
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        again = setTimeout(open, 15000);
        signedIn();
      }
    };
  }

  // A restart of usherd signs everybody out; a stream is not told where to, so it is asked once more.
  function signedIn() {
    const stop = new AbortController();
    fetch("/dashboard/live", { redirect: "manual", signal: stop.signal })
      .then((answer) => answer.type === "opaqueredirect" && location.assign("/dashboard/sign-in"))
      .catch(() => {}) // nobody there: then the page waits
      .finally(() => stop.abort());
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
})();
