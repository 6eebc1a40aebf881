"use strict";
/* The page is complete without this: it only lets a reader sort the tables. */
(function () {
  function order(cell) {
    var value = cell ? cell.getAttribute("data-order") : null;
    if (value === null) { return null; }
    var number = Number(value);
    return value !== "" && !Number.isNaN(number) ? number : value;
  }

  function compare(a, b) {
    if (a === null || b === null) { return (a === null) - (b === null); }
    if (typeof a === "number" && typeof b === "number") { return a - b; }
    return String(a).localeCompare(String(b));
  }

  function sort(table, column, head) {
    var down = head.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("thead th").forEach(function (other) {
      other.removeAttribute("aria-sort");
    });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    var body = table.tBodies[0];
    var rows = Array.prototype.map.call(body.rows, function (row) {
      return { row: row, key: order(row.cells[column]) };
    });
    rows.sort(function (a, b) {
      var sign = down && a.key !== null && b.key !== null ? -1 : 1;
      return sign * compare(a.key, b.key);
    });
    rows.forEach(function (entry) { body.appendChild(entry.row); });
  }

  document.querySelectorAll("table.sortable").forEach(function (table) {
    table.querySelectorAll("thead th[data-sort]").forEach(function (head) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent.trim();
      button.title = "Sort by " + button.textContent;
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () {
        sort(table, head.cellIndex, head);
      });
    });
  });
})();
