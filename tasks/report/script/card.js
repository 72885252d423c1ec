import { element } from "../../pages/script/elements.js";
import { kilobytesText, countText, scoreText, shortName, visible } from "../../pages/script/names.js";
import { idOf } from "./rows.js";

// One image of the grid.

/** Return the thumbnails of the page by id: pairs of addresses, blurred and sharp. */
export function thumbnailsOf(galleries) {
  const found = new Map();
  for (const figure of galleries.querySelectorAll("figure[data-id]")) {
    const [veil, sharp] = [figure.querySelector(".veil"), figure.querySelector(".sharp")];
    if (veil) found.set(figure.dataset.id, { veil: veil.src, sharp: sharp?.src ?? "" });
  }
  return found;
}

/** Return the card of a row. */
export function card(rows, row, { vocabulary, signs, thumbnails, isSelected }) {
  const id = idOf(rows, row);
  const address = visible(rows.address[row]);
  const name = shortName(address);
  const score = scoreText(rows.prob[row]);
  const decision = vocabulary.decisions[rows.decision[row]];
  const label = rows.label[row] < vocabulary.labels.length - 1 ? vocabulary.labels[rows.label[row]] : "";
  const reasons = vocabulary.reasons.filter((_, bit) => (rows.reasons[row] >>> bit) & 1);
  const size = `${countText(rows.width[row])} × ${countText(rows.height[row])}, ${kilobytesText(rows.kilobytes[row])}`;
  const box = element("input", { type: "checkbox", "aria-label": `Select ${name}`, tabindex: -1 });
  box.checked = isSelected;
  return element(
    "li",
    { class: "card", "data-row": row, tabindex: -1, "aria-label": `${name}, score ${score}, ${decision ?? "no decision"}` },
    box,
    picture(thumbnails.get(id), name),
    element(
      "div",
      { class: "facts" },
      element("span", { class: "line-of" },
        element("span", { class: "score" }, score),
        decision && element("span", { class: decision },
          element("span", { class: "sign", "aria-hidden": "true" }, signs[decision]), decision),
        label && element("span", { class: "soft" }, `labelled ${label}`)),
      element("bdi", { class: "name", title: address }, name),
      element("span", { class: "soft reasons" }, reasons.map(([, text]) => text).join("; ")),
      element("span", { class: "soft" }, size),
      vocabulary.domains.length > 1 && element("bdi", { class: "soft" }, vocabulary.domains[rows.domain[row]]),
      element("code", {}, id)
    )
  );
}

function picture(thumbnail, name) {
  if (!thumbnail) return element("div", { class: "pic none" }, element("span", {}, "no thumbnail"));
  const { veil, sharp } = thumbnail;
  const asks = element("span", { class: "ask", "aria-hidden": "true" }, sharp ? "show" : "veiled");
  const box = element(
    "details",
    { class: "pic" },
    element("summary", { "aria-label": `Show or hide ${name}`, tabindex: -1 },
      element("img", { class: "veil", src: veil, alt: "" }), asks)
  );
  if (sharp) box.append(element("img", { class: "sharp", src: sharp, alt: name }));
  return box;
}
