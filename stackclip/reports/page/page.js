"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const make = (tag, words = {}, ...inner) => {
    const made = Object.assign(document.createElement(tag), words);
    made.append(...inner);
    return made;
  };
  const drawn = (tag, words) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(words)) made.setAttribute(name, value);
    return made;
  };

  // Tables: a line and what stands below it are a tbody, and go together.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.querySelectorAll("thead th")];
    const bodies = [...table.tBodies];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const text = head.classList.contains("text");
      const up = head.ariaSort ? head.ariaSort === "descending" : text;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = up ? "ascending" : "descending";
      const value = (body) => body.rows[0].cells[column].dataset.v;
      const lacks = (body) => value(body) === "";
      const compare = (a, b) => (text ? value(a).localeCompare(value(b)) : value(a) - value(b)) * (up ? 1 : -1);
      table.append(...[...bodies].sort((a, b) => lacks(a) - lacks(b) || (lacks(a) ? 0 : compare(a, b))));
    }));
  }
  const folded = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  addEventListener("beforeprint", () => { opened = folded(); for (const each of opened) each.open = true; });
  addEventListener("afterprint", () => { for (const each of opened) each.open = false; });

  if (!at("data")) return;
  const data = JSON.parse(at("data").textContent);
  const SIDE = 64, PANE = 176;
  const SIGNS = { found: "✓", missed: "✗", "false alarm": "!", passed: "·", anomalous: "!", "no verdict": "?" };
  const ALL = "all";
  const colours = Uint8ClampedArray.from(data.colours.flat());
  const number = (value) => Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3)
    ? value.toExponential(3) : String(+value.toPrecision(5));

  for (const wall of data.walls) {
    const labels = wall.shown.map((place) => data.pictures[place].label);
    wall.sorted = Float64Array.from(wall.scores).sort();
    wall.steps = [...new Set(wall.sorted)];
    wall.good = Float64Array.from(wall.scores.filter((_, row) => labels[row] === 0)).sort();
    wall.bad = Float64Array.from(wall.scores.filter((_, row) => labels[row] === 1)).sort();
    wall.tops = wall.peaks && Float64Array.from(wall.peaks).sort().reverse();
    wall.limit = wall.threshold ?? Infinity;
    wall.verdicts = wall.threshold !== null;
    wall.items = wall.scores.map((score, row) => ({ wall, row, score, picture: data.pictures[wall.shown[row]] }));
  }
  // How many of a sorted list are below a value.
  const below = (sorted, value) => {
    let low = 0, high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value) low = middle + 1; else high = middle;
    }
    return low;
  };
  const upTo = (sorted, value) => {
    let count = below(sorted, value);
    while (count < sorted.length && sorted[count] === value) count += 1;
    return count;
  };
  const verdict = ({ wall, score, picture }) => {
    if (!wall.verdicts) return "no verdict";
    const called = score >= wall.limit;
    if (picture.label === null) return called ? "anomalous" : "passed";
    return picture.label ? (called ? "found" : "missed") : (called ? "false alarm" : "passed");
  };
  const isWrong = (item) => ["missed", "false alarm"].includes(verdict(item));
  // The share of pictures of the other label that the method put on the wrong side of this one.
  const outranked = ({ wall, score, picture }) => picture.label
    ? (wall.good.length - below(wall.good, score)) / Math.max(1, wall.good.length)
    : upTo(wall.bad, score) / Math.max(1, wall.bad.length);
  const worstFirst = (items) => items.map((item) => ({
    item, wrong: isWrong(item), share: item.picture.label === null ? 0 : outranked(item),
    beyond: item.picture.label ? item.score : -item.score,
  })).sort((a, b) => b.wrong - a.wrong || b.share - a.share || a.beyond - b.beyond).map(({ item }) => item);
  // The map level that as many pictures reach as reach the threshold by their score.
  const contourLevel = (wall) => {
    if (!wall.tops || !wall.verdicts) return null;
    if (wall.by_map) return wall.limit;
    const called = wall.sorted.length - below(wall.sorted, wall.limit);
    return called ? wall.tops[called - 1] : null;
  };

  // Drawing
  const decoded = new Map();
  const image = (text) => {
    if (!decoded.has(text)) {
      const made = new Image();
      made.src = `data:image/webp;base64,${text}`;
      decoded.set(text, made.decode().then(() => made));
      if (decoded.size > 600) decoded.delete(decoded.keys().next().value);
    }
    return decoded.get(text);
  };
  const scratch = make("canvas", { width: SIDE, height: SIDE });
  const pen = scratch.getContext("2d", { willReadFrequently: true });
  const fit = (canvas, [width, height], side = PANE) => {
    const factor = side / Math.max(width, height);
    canvas.width = Math.max(1, Math.round(width * factor));
    canvas.height = Math.max(1, Math.round(height * factor));
    return canvas.getContext("2d");
  };
  const maskOf = (picture) => {
    const pixels = new Uint8Array(SIDE * SIDE);
    let place = 0;
    (picture.mask ?? []).forEach((run, turn) => { if (turn % 2) pixels.fill(1, place, place + run); place += run; });
    return pixels;
  };
  const stroke = (ctx, path) => {
    for (const [width, colour] of [[3.5, "#000"], [1.5, "#fff"]]) {
      ctx.lineWidth = width;
      ctx.strokeStyle = colour;
      ctx.stroke(path);
    }
  };
  // Marching squares between the centres of the small pixels; beyond the edge all is cold.
  const contour = (values, level, width, height) => {
    const path = new Path2D(), dx = width / SIDE, dy = height / SIDE;
    const value = (x, y) => x < 0 || y < 0 || x >= SIDE || y >= SIDE ? -1e9 : values[y * SIDE + x];
    const between = (a, b) => Math.min(1, Math.max(0, (level - a) / (b - a)));
    for (let y = -1; y < SIDE; y += 1) for (let x = -1; x < SIDE; x += 1) {
      const [a, b, c, d] = [value(x, y), value(x + 1, y), value(x + 1, y + 1), value(x, y + 1)];
      const [ia, ib, ic, id] = [a >= level, b >= level, c >= level, d >= level];
      if (ia === ib && ib === ic && ic === id) continue;
      const cuts = [];
      if (ia !== ib) cuts.push([x + between(a, b), y]);
      if (ib !== ic) cuts.push([x + 1, y + between(b, c)]);
      if (ic !== id) cuts.push([x + 1 - between(c, d), y + 1]);
      if (id !== ia) cuts.push([x, y + 1 - between(d, a)]);
      for (let each = 0; each + 1 < cuts.length; each += 2) {
        path.moveTo((cuts[each][0] + 0.5) * dx, (cuts[each][1] + 0.5) * dy);
        path.lineTo((cuts[each + 1][0] + 0.5) * dx, (cuts[each + 1][1] + 0.5) * dy);
      }
    }
    return path;
  };
  const drawPicture = async (canvas, picture, outlined = true, side = PANE) => {
    const found = picture.thumb && await image(picture.thumb);
    const ctx = fit(canvas, picture.size, side);
    if (found) ctx.drawImage(found, 0, 0, canvas.width, canvas.height);
    if (outlined && picture.mask) stroke(ctx, contour(maskOf(picture), 0.5, canvas.width, canvas.height));
  };
  const drawMask = (canvas, picture, side) => {
    const ctx = fit(canvas, picture.size, side), pixels = maskOf(picture);
    const tinted = pen.createImageData(SIDE, SIDE);
    for (let place = 0; place < pixels.length; place += 1) tinted.data.fill(pixels[place] * 255, place * 4, place * 4 + 3);
    for (let place = 0; place < pixels.length; place += 1) tinted.data[place * 4 + 3] = 255;
    pen.putImageData(tinted, 0, 0);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(scratch, 0, 0, canvas.width, canvas.height);
  };
  const drawMap = async (canvas, { wall, row, picture }, side = PANE) => {
    const found = await image(wall.maps[row]);
    const ctx = fit(canvas, picture.size, side);
    pen.drawImage(found, 0, 0);
    const pixels = pen.getImageData(0, 0, SIDE, SIDE), values = new Float64Array(SIDE * SIDE);
    const low = wall.lows[row], step = (wall.peaks[row] - low) / data.top, [cold, hot] = wall.scale;
    for (let place = 0; place < values.length; place += 1) {
      values[place] = low + step * pixels.data[place * 4];
      const share = Math.min(255, Math.max(0, Math.round((values[place] - cold) / (hot - cold) * 255)));
      pixels.data.set(colours.subarray(share * 3, share * 3 + 3), place * 4);
    }
    pen.putImageData(pixels, 0, 0);
    ctx.drawImage(scratch, 0, 0, canvas.width, canvas.height);
    const level = contourLevel(wall), peak = wall.peaks[row];
    if (level === null || peak < level) return;
    const path = contour(values, level, canvas.width, canvas.height);
    if (level > peak - 2 * step) { // of a peak that hardly reaches it nothing would be seen: it has a ring
      const top = values.indexOf(Math.max(...values)), radius = canvas.width / 32;
      const x = (top % SIDE + 0.5) * canvas.width / SIDE, y = (Math.floor(top / SIDE) + 0.5) * canvas.height / SIDE;
      path.moveTo(x + radius, y);
      path.arc(x, y, radius, 0, 7);
    }
    stroke(ctx, path);
  };

  // The tiles of what is chosen
  const tiles = at("tiles"), choice = { table: at("table"), method: at("method"), category: at("category") };
  let items = [], order = [], open = null;
  const drawTile = async (tile) => {
    const { item } = tile, [picture, map] = tile.querySelectorAll("canvas");
    await Promise.all([
      drawPicture(picture, item.picture), map && drawMap(map, item),
    ]);
    if (!tile.classList.contains("drawn") && tile.isConnected) {
      tile.classList.add("drawn");
      tiles.dataset.drawn = Number(tiles.dataset.drawn) + 1;
    }
  };
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.near = isIntersecting;
      if (isIntersecting) drawTile(target);
      else if (!target.first && target.classList.contains("drawn")) {
        target.classList.remove("drawn");
        tiles.dataset.drawn -= 1;
        for (const canvas of target.querySelectorAll("canvas")) canvas.width = canvas.height = 1;
      }
    }
  }, { rootMargin: "600px" });
  const describe = (tile) => {
    const { item } = tile, said = verdict(item);
    tile.querySelector(".verdict").textContent = `${SIGNS[said]} ${said}`;
    tile.classList.toggle("wrong", isWrong(item));
  };
  const tileOf = (item, place) => {
    const map = item.wall.maps[item.row]
      ? make("canvas") : make("span", { className: "none", textContent: "no map: this method gives none" });
    const kind = item.picture.label === null ? "" : item.picture.label ? `, ${item.picture.defect}` : ", good";
    const tile = make("button", { type: "button", className: "tile", item, first: place < 12 },
      make("span", { className: "panes" }, make("canvas"), map),
      make("span", { className: "verdict" }), ` ${number(item.score)}${kind}`,
      make("span", { className: "name", textContent: item.picture.name }));
    tile.addEventListener("click", () => show(item));
    describe(tile);
    return tile;
  };
  const arrange = () => {
    const filter = at("verdict").value;
    const fits = (item) => filter === ALL || (filter === "wrong" ? isWrong(item) : verdict(item) === filter);
    order = worstFirst(items.filter((item) => item.row in item.wall.maps && fits(item)));
    near.disconnect();
    tiles.replaceChildren(...order.map(tileOf));
    tiles.dataset.drawn = 0;
    for (const tile of tiles.children) {
      if (tile.first) drawTile(tile);
      near.observe(tile);
    }
    const unshown = items.filter(fits).length - order.length;
    at("empty").hidden = order.length + unshown > 0;
    at("unshown").hidden = !unshown;
    at("unshown").textContent = `${unshown} more count, but are left out of the gallery to keep this file small.`;
  };
  const recount = () => {
    const counts = {};
    for (const item of items) counts[verdict(item)] = (counts[verdict(item)] ?? 0) + 1;
    const labelled = items.some(({ picture }) => picture.label !== null);
    const names = !items.some(({ wall }) => wall.verdicts) ? ["no verdict"]
      : labelled ? ["found", "missed", "false alarm", "passed"] : ["anomalous", "passed"];
    at("counts").replaceChildren(...names.map((name) => make("li", {}, make("b", { textContent: counts[name] ?? 0 }),
      ` ${SIGNS[name]} ${name}`)));
    for (const tile of tiles.children) describe(tile);
  };
  const chosen = () => data.walls.filter((wall) => String(wall.table) === choice.table.value
    && wall.method === choice.method.value && [ALL, wall.category].includes(choice.category.value));

  const histogram = (wall) => {
    const svg = at("histogram"), width = Math.max(280, svg.clientWidth), bins = 48;
    const labelled = wall.good.length + wall.bad.length > 0, height = labelled ? 190 : 124, middle = 84;
    const [low, high] = [wall.sorted[0], wall.sorted.at(-1)];
    const share = (score) => high > low ? (score - low) / (high - low) : 0.5;
    const x = (score) => 8 + share(score) * (width - 16);
    const count = (sorted) => {
      const found = new Array(bins).fill(0);
      for (const score of sorted) found[Math.min(bins - 1, Math.floor(share(score) * bins))] += 1;
      return found;
    };
    const [above, under] = labelled ? [count(wall.bad), count(wall.good)] : [count(wall.sorted), []];
    const most = Math.max(1, ...above, ...under), bar = (width - 16) / bins, parts = [];
    const box = (kind, place, count, up) => {
      const tall = count / most * 62;
      if (count) parts.push(drawn("rect", { class: kind, x: 8 + place * bar, width: bar - 1, height: tall,
        y: up ? middle - tall : middle }));
    };
    above.forEach((count, place) => box("bad", place, count, true));
    under.forEach((count, place) => box("good", place, count, false));
    parts.push(drawn("path", { class: "axis", d: `M8 ${middle}H${width - 8}` }));
    const text = (words, x, y, anchor = "start") => {
      const made = drawn("text", { x, y, "text-anchor": anchor });
      made.textContent = words;
      parts.push(made);
    };
    text(labelled ? "defective, above the line" : "pictures", 8, 12);
    if (labelled) text("good, below the line", 8, height - 24);
    text(number(low), 8, height - 4);
    text(number(high), width - 8, height - 4, "end");
    const limit = wall.limit === Infinity ? width - 2 : x(Math.min(high, Math.max(low, wall.limit)));
    parts.push(drawn("path", { class: "limit", d: `M${limit} 16V${height - 36}` }));
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren(...parts);
  };
  const sayThreshold = (wall) => {
    const told = !wall.verdicts || wall.limit === Infinity ? "above all scores" : number(wall.limit);
    at("threshold-text").textContent = told;
    at("threshold").setAttribute("aria-valuetext", told);
    histogram(wall);
  };
  const choose = () => {
    const walls = chosen(), [wall] = walls, one = walls.length === 1;
    items = walls.flatMap((each) => each.items);
    at("threshold-box").hidden = !one;
    at("several").hidden = one;
    at("key").hidden = !wall?.scale;
    if (wall) {
      if (one) {
        at("threshold").max = wall.steps.length;
        at("threshold").value = wall.limit === Infinity ? wall.steps.length : below(wall.steps, wall.limit);
        sayThreshold(wall);
        at("cold").textContent = wall.scale ? number(wall.scale[0]) : "";
        at("hot").textContent = wall.scale ? number(wall.scale[1]) : "";
      }
      at("by-map").hidden = !walls.some(({ by_map: byMap }) => byMap);
      at("seed").textContent = wall.seed === null ? "" : `Seed ${wall.seed}.`;
    }
    recount();
    arrange();
  };
  const fill = (select, values, kept) => {
    select.replaceChildren(...values.map(([value, text]) => make("option", { value, textContent: text })));
    if (values.some(([value]) => value === kept)) select.value = kept;
  };
  const refill = (start) => {
    const table = start ? String(start.table) : choice.table.value;
    const here = data.walls.filter((wall) => String(wall.table) === table);
    const unique = (name) => [...new Set(here.map((wall) => wall[name]))].map((value) => [value, value]);
    fill(choice.table, [...new Set(data.walls.map((wall) => wall.table))]
      .map((place) => [String(place), data.tables[place]]), table);
    fill(choice.method, unique("method"), start?.method ?? choice.method.value);
    const categories = unique("category");
    fill(choice.category, categories.length > 1 ? [...categories, [ALL, "all categories"]] : categories,
      start?.category ?? choice.category.value);
    for (const [name, select] of Object.entries(choice)) {
      select.parentElement.hidden = select.options.length < 2 && name === "table";
    }
    choose();
  };
  choice.table.addEventListener("change", () => refill());
  choice.method.addEventListener("change", choose);
  choice.category.addEventListener("change", choose);
  at("verdict").addEventListener("change", arrange);
  let waiting = false;
  at("threshold").addEventListener("input", ({ target }) => {
    const [wall] = chosen();
    wall.limit = wall.steps[target.value] ?? Infinity;
    wall.verdicts = true;
    sayThreshold(wall);
    recount();
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      for (const tile of tiles.children) if (tile.near || tile.first) drawTile(tile);
    });
  });
  at("threshold").addEventListener("change", arrange);
  addEventListener("resize", () => {
    const walls = chosen();
    if (walls.length === 1) histogram(walls[0]);
  });
  at("reset").addEventListener("click", () => {
    for (const wall of chosen()) {
      wall.limit = wall.threshold ?? Infinity;
      wall.verdicts = wall.threshold !== null;
    }
    choose();
  });

  // One picture, large, with what every method sees in it
  const dialog = at("large");
  const show = (item) => {
    open = item;
    const { picture, wall } = item, sheet = at("sheet");
    const figure = (canvas, ...words) => make("figure", {}, canvas, make("figcaption", {}, ...words));
    at("large-name").textContent = picture.name;
    const kind = picture.label === null ? "nothing is known of it" : picture.label ? picture.defect : "good";
    at("large-kind").textContent = `${wall.category}, ${kind}`;
    const plain = make("canvas");
    sheet.replaceChildren(figure(plain, picture.thumb ? "picture" : "picture: no longer where it lay"));
    drawPicture(plain, picture, false, 256);
    if (picture.mask && picture.label) {
      const mask = make("canvas");
      sheet.append(figure(mask, "mask"));
      drawMask(mask, picture, 256);
    }
    for (const other of data.walls) {
      const row = other.table === wall.table && other.category === wall.category
        ? other.shown.indexOf(wall.shown[item.row]) : -1;
      if (row < 0) continue;
      const seen = other.items[row], canvas = make("canvas"), said = verdict(seen);
      const limit = other.verdicts ? `, threshold ${other.limit === Infinity ? "above all" : number(other.limit)}` : "";
      const has = other.maps[row];
      sheet.append(figure(has ? canvas : make("span", { className: "none", textContent: "no map" }),
        make("b", { textContent: other.method }), ": ",
        make("span", { className: "verdict", textContent: `${SIGNS[said]} ${said}` }), `, ${number(seen.score)}${limit}`));
      if (has) drawMap(canvas, seen, 256);
    }
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => {
    const next = order[order.indexOf(open) + by];
    if (next) show(next);
  };
  at("back").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  at("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) { event.preventDefault(); step(by); }
  });
  dialog.addEventListener("close", () => tiles.children[order.indexOf(open)]?.focus());
  tiles.addEventListener("keydown", (event) => {
    const all = [...tiles.children], here = all.indexOf(document.activeElement);
    const columns = Math.max(1, all.findIndex((tile) => tile.offsetTop > all[0].offsetTop));
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + columns, ArrowUp: here - columns,
      Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || !all[to]) return;
    event.preventDefault();
    all[to].focus();
  });

  // A table for spreadsheets; what one would run as a formula begins with an apostrophe.
  const cell = (value) => {
    const text = String(value ?? "");
    const safe = typeof value === "string" && /^[\s'"]*[=+\-@]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  at("csv").addEventListener("click", () => {
    const lines = [["method", "category", "seed", "picture", "defect", "label", "score", "threshold", "verdict"]];
    for (const item of worstFirst(items)) {
      const { wall, picture, score } = item, limit = wall.verdicts && wall.limit !== Infinity ? wall.limit : null;
      const label = picture.label === null ? "" : picture.label ? "anomalous" : "normal";
      lines.push([wall.method, wall.category, wall.seed, picture.name, picture.defect, label, score, limit, verdict(item)]);
    }
    const text = `${lines.map((line) => line.map(cell).join(",")).join("\n")}\n`;
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: "scores.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });

  const bar = at("bar").getContext("2d"), tinted = bar.createImageData(256, 1);
  for (let place = 0; place < 256; place += 1) {
    tinted.data.set([...colours.subarray(place * 3, place * 3 + 3), 255], place * 4);
  }
  bar.putImageData(tinted, 0, 0);
  at("gallery").hidden = false;
  refill(data.walls[data.start]);
})();
