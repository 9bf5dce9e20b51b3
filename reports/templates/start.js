// What every script of a page begins with; the page works without any.
const root = document.documentElement;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);
for (const element of all(".scripted")) element.hidden = false;
