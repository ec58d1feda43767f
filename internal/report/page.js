"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const several = data.runs.length > 1;
  const host = document.getElementById("charts");
  const NS = "http://www.w3.org/2000/svg";
  const LEFT = 58, RIGHT = 10, TOP = 8, BOTTOM = 20;

  const make = (name, attributes, parent) => {
    const e = document.createElementNS(NS, name);
    for (const k in attributes) e.setAttribute(k, attributes[k]);
    if (parent) parent.appendChild(e);
    return e;
  };
  const html = (name, className, text) => {
    const e = document.createElement(name);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  };

  // Numbers for people.
  const trim = (v) => {
    if (v === 0) return "0";
    const a = Math.abs(v);
    if (a >= 1e6 || a < 1e-4) return v.toExponential(2).replace("e+", "e");
    return String(Number(v.toPrecision(a >= 1000 ? 6 : 4)));
  };
  const scaled = (v, base, units) => {
    let i = 0;
    while (Math.abs(v) >= base && i < units.length - 1) { v /= base; i++; }
    return String(Number(v.toPrecision(3))) + " " + units[i];
  };
  const format = (v, unit) => {
    switch (unit) {
      case "bytes": return scaled(v, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
      case "bytes/s": return scaled(v, 1000, ["B/s", "kB/s", "MB/s", "GB/s"]);
      case "%": return String(Number(v.toPrecision(3))) + " %";
      case "W": return Math.round(v) + " W";
      case "°C": return Math.round(v) + " °C";
      default: return trim(v);
    }
  };
  const clock = (s) => {
    if (s < 60) return String(Number(s.toFixed(s < 10 ? 1 : 0))) + " s";
    const d = Math.floor(s / 86400), h = Math.floor(s % 86400 / 3600), m = Math.floor(s % 3600 / 60), r = Math.floor(s % 60);
    const two = (n) => String(n).padStart(2, "0");
    if (d > 0) return d + "d " + two(h) + ":" + two(m);
    if (h > 0) return h + ":" + two(m) + ":" + two(r);
    return m + ":" + two(r);
  };

  // Steps of an axis: 1, 2 or 5 times a power of the base; time has its own.
  const niceStep = (span, count, base) => {
    const raw = span / count, power = Math.pow(base, Math.floor(Math.log(raw) / Math.log(base)));
    const steps = base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
    for (const s of steps) if (s * power >= raw) return s * power;
    return power * base;
  };
  const timeSteps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
  const timeStep = (span, count) => {
    for (const s of timeSteps) if (span / s <= count) return s;
    return niceStep(span, count, 10);
  };

  const tickLabel = (t, step) => {
    const d = Math.floor(t / 86400), h = Math.floor(t / 3600), m = Math.round(t % 3600 / 60);
    if (t === 0) return "0";
    if (step >= 86400) return d + " d";
    if (step >= 3600) return d > 0 ? (h % 24 ? d + " d " + h % 24 + " h" : d + " d") : h + " h";
    if (step >= 60) return h > 0 ? (m ? h + " h " + m : h + " h") : m + " min";
    return clock(t);
  };

  let end = 0;
  for (const c of data.charts) for (const l of c.lines) end = Math.max(end, l.t[l.t.length - 1]);
  end = end || 1;
  let from = 0, to = end, pointer = null;

  // The first index whose time is not before t.
  const search = (times, t) => {
    let a = 0, b = times.length;
    while (a < b) { const m = (a + b) >> 1; if (times[m] < t) a = m + 1; else b = m; }
    return a;
  };
  const nearest = (l, t) => {
    const i = search(l.t, t);
    if (i === 0) return 0;
    if (i === l.t.length) return i - 1;
    return t - l.t[i - 1] < l.t[i] - t ? i - 1 : i;
  };
  const colour = (l) => (several ? l.run : l.kind) % 6;

  const charts = data.charts.map((chart) => {
    const figure = html("figure", chart.group), caption = html("figcaption");
    caption.appendChild(html("strong", "", chart.title));
    const values = chart.lines.map((l) => {
      const v = html("span", "v");
      if (several || chart.lines.length > 1) v.appendChild(html("i", "b" + colour(l) + (several && l.kind ? " k" + Math.min(l.kind, 2) : "")));
      const label = several ? data.runs[l.run] + (chart.group === "system" && l.kind >= 0 && chart.lines.some((o) => o.kind > 0) ? " " + l.name : "") : chart.lines.length > 1 ? l.name : "";
      if (label) v.appendChild(document.createTextNode(label + " "));
      const b = html("b");
      v.appendChild(b);
      caption.appendChild(v);
      return b;
    });
    const at = html("span", "at");
    caption.appendChild(at);
    figure.appendChild(caption);
    const svg = make("svg", {class: "plot", role: "img", "aria-label": chart.title + " over time"}, figure);
    host.appendChild(figure);
    return {chart, svg, values, at, width: 0};
  });

  const draw = (c) => {
    const width = Math.max(240, c.svg.clientWidth || host.clientWidth || 700);
    c.width = width;
    const HEIGHT = c.chart.group === "system" ? 92 : 140;
    const height = TOP + HEIGHT + BOTTOM;
    c.svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    c.svg.setAttribute("height", height);
    c.svg.replaceChildren();
    let low = Infinity, high = -Infinity;
    for (const l of c.chart.lines) {
      const a = Math.max(0, search(l.t, from) - 1), b = Math.min(l.t.length, search(l.t, to) + 1);
      for (let i = a; i < b; i++) {
        low = Math.min(low, l.lo && !several ? l.lo[i] : l.v[i]);
        high = Math.max(high, l.hi && !several ? l.hi[i] : l.v[i]);
      }
    }
    if (!isFinite(low)) { low = 0; high = 1; }
    if (c.chart.group === "system") {
      low = 0;
      if (c.chart.unit === "%" && high > 50) high = 100;
      if (c.chart.limit && high > c.chart.limit / 2) high = Math.max(high, c.chart.limit);
    }
    if (high === low) { const pad = Math.abs(high) * 0.1 || 1; high += pad; if (low !== 0) low -= pad; }
    const step = niceStep(high - low, 3, c.chart.unit === "bytes" ? 1024 : 10);
    low = Math.floor(low / step + 1e-9) * step;
    high = Math.ceil(high / step - 1e-9) * step;
    const x = (t) => LEFT + (t - from) / (to - from) * (width - LEFT - RIGHT);
    const y = (v) => TOP + HEIGHT - (v - low) / (high - low) * HEIGHT;
    c.x = x; c.y = y;
    for (let v = low; v <= high + step / 2; v += step) {
      const at = Math.round(y(v)) + 0.5;
      make("line", {class: v === low ? "base" : "grid", x1: LEFT, x2: width - RIGHT, y1: at, y2: at}, c.svg);
      make("text", {x: LEFT - 8, y: at + 4, "text-anchor": "end"}, c.svg).textContent = format(Math.abs(v) < step / 1e6 ? 0 : v, c.chart.unit);
    }
    const ticks = timeStep(to - from, width < 500 ? 4 : 8);
    for (let t = Math.ceil(from / ticks - 1e-9) * ticks; t <= to * (1 + 1e-9); t += ticks) {
      const px = Math.round(x(t)) + 0.5;
      if (px > width - RIGHT + 1) break;
      if (t > from) make("line", {class: "grid", x1: px, x2: px, y1: TOP, y2: TOP + HEIGHT}, c.svg);
      const anchor = px > width - RIGHT - 24 ? "end" : px < LEFT + 12 ? "start" : "middle";
      make("text", {x: px, y: TOP + HEIGHT + 15, "text-anchor": anchor}, c.svg).textContent = tickLabel(t, ticks);
    }
    const clip = "clip" + charts.indexOf(c);
    make("rect", {x: LEFT, y: TOP - 2, width: width - LEFT - RIGHT, height: HEIGHT + 4}, make("clipPath", {id: clip}, c.svg));
    const area = make("g", {"clip-path": "url(#" + clip + ")"}, c.svg);
    if (c.chart.limit && c.chart.limit <= high) {
      make("line", {class: "limit", x1: LEFT, x2: width - RIGHT, y1: y(c.chart.limit), y2: y(c.chart.limit)}, area);
      make("text", {x: LEFT + 4, y: y(c.chart.limit) + 13}, area).textContent = "limit";
    }
    for (const l of c.chart.lines) {
      const a = Math.max(0, search(l.t, from) - 1), b = Math.min(l.t.length, search(l.t, to) + 1);
      const path = (values, first, past, back) => {
        let d = "";
        for (let k = first; k < past; k++) {
          const i = back ? past - 1 - (k - first) : k;
          d += (d || back ? "L" : "M") + x(l.t[i]).toFixed(1) + " " + y(values[i]).toFixed(1);
        }
        return d;
      };
      if (l.hi && !several) make("path", {class: "band f" + colour(l), d: path(l.hi, a, b, false) + path(l.lo, a, b, true) + "Z"}, area);
      make("path", {class: "line s" + colour(l) + (several && l.kind ? " k" + Math.min(l.kind, 2) : ""), d: path(l.v, a, b, false)}, area);
    }
    c.cursor = make("line", {class: "cursor", y1: TOP, y2: TOP + HEIGHT, visibility: "hidden"}, c.svg);
    c.marks = c.chart.lines.map((l) => make("circle", {class: "f" + colour(l), r: 3.2, visibility: "hidden"}, area));
    c.drag = make("rect", {class: "drag", y: TOP, height: HEIGHT, visibility: "hidden"}, c.svg);
  };

  // Values at a time, or the last ones.
  const show = (t) => {
    for (const c of charts) {
      let step = null;
      c.chart.lines.forEach((l, k) => {
        const i = t === null ? l.t.length - 1 : nearest(l, t);
        const outside = t !== null && (t < l.t[0] - 1 && l.t[0] > from || t > l.t[l.t.length - 1] + (to - from) / 50);
        c.values[k].textContent = outside ? "" : format(l.v[i], c.chart.unit) + (c.chart.unit === "cores" ? " cores" : "");
        if (!outside && l.s && l.s[i] >= 0) step = l.s[i];
        const px = c.x(l.t[i]), visible = t !== null && !outside && px >= LEFT - 1;
        c.marks[k].setAttribute("visibility", visible ? "visible" : "hidden");
        if (visible) { c.marks[k].setAttribute("cx", px); c.marks[k].setAttribute("cy", c.y(l.v[i])); }
      });
      c.at.textContent = t === null ? "" : clock(t) + (step === null ? "" : ", step " + trim(step));
      c.cursor.setAttribute("visibility", t === null ? "hidden" : "visible");
      if (t !== null) { c.cursor.setAttribute("x1", c.x(t)); c.cursor.setAttribute("x2", c.x(t)); }
    }
  };

  const tools = document.getElementById("tools"), range = document.getElementById("range");
  const buttons = {in: document.getElementById("in"), out: document.getElementById("out"), all: document.getElementById("all")};
  const redraw = () => {
    charts.forEach(draw);
    show(pointer);
    const whole = from <= 0 && to >= end;
    range.textContent = whole ? clock(end) : clock(from) + " – " + clock(to);
    buttons.out.disabled = buttons.all.disabled = whole;
  };
  const zoom = (a, b) => {
    const least = end / 2000;
    if (b - a < least) { const m = (a + b) / 2; a = m - least / 2; b = m + least / 2; }
    const span = Math.min(end, b - a);
    from = Math.max(0, Math.min(a, end - span));
    to = from + span;
    redraw();
  };
  const scale = (factor) => {
    const middle = pointer === null ? (from + to) / 2 : pointer, span = (to - from) * factor;
    zoom(middle - span / 2, middle + span / 2);
  };
  buttons.in.addEventListener("click", () => scale(0.5));
  buttons.out.addEventListener("click", () => scale(2));
  buttons.all.addEventListener("click", () => zoom(0, end));
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape") zoom(0, end);
    else if (e.key === "+") scale(0.5);
    else if (e.key === "-") scale(2);
  });

  for (const c of charts) {
    let start = null;
    const timeAt = (e) => {
      const box = c.svg.getBoundingClientRect();
      const px = (e.clientX - box.left) * c.width / box.width;
      return Math.max(from, Math.min(to, from + (px - LEFT) / (c.width - LEFT - RIGHT) * (to - from)));
    };
    c.svg.addEventListener("pointermove", (e) => {
      pointer = timeAt(e);
      if (start !== null) {
        const a = c.x(Math.min(start, pointer)), b = c.x(Math.max(start, pointer));
        c.drag.setAttribute("visibility", "visible");
        c.drag.setAttribute("x", a);
        c.drag.setAttribute("width", b - a);
      }
      show(pointer);
    });
    c.svg.addEventListener("pointerdown", (e) => {
      pointer = timeAt(e);
      show(pointer);
      if (e.pointerType === "mouse" && e.button === 0) { start = pointer; c.svg.setPointerCapture(e.pointerId); }
    });
    c.svg.addEventListener("pointerup", (e) => {
      const a = start, b = timeAt(e);
      start = null;
      if (a !== null && Math.abs(c.x(a) - c.x(b)) > 6) { pointer = null; zoom(Math.min(a, b), Math.max(a, b)); }
      else if (c.drag) c.drag.setAttribute("visibility", "hidden");
    });
    c.svg.addEventListener("pointercancel", () => { start = null; c.drag.setAttribute("visibility", "hidden"); });
    c.svg.addEventListener("pointerleave", (e) => { if (start === null && e.pointerType === "mouse") { pointer = null; show(null); } });
    c.svg.addEventListener("dblclick", () => zoom(0, end));
  }

  let before = 0;
  const resized = () => { if (host.clientWidth !== before) { before = host.clientWidth; redraw(); } };
  window.addEventListener("resize", resized);
  window.addEventListener("beforeprint", () => { pointer = null; redraw(); });
  tools.hidden = false;
  document.getElementById("hint").hidden = !matchMedia("(pointer: fine)").matches;
  resized();
  document.documentElement.setAttribute("data-drawn", String(charts.length));
})();
