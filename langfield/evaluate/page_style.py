"""How the gallery page looks; it follows the reader's light or dark setting."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--soft:#666;--paper:#fff;--card:#f5f5f3;--line:#ddd;--bad:#b23a00;
--good:#00795a}
@media(prefers-color-scheme:dark){:root{--ink:#eee;--soft:#aaa;--paper:#161616;--card:#222;--line:#3a3a3a;--bad:#ff9a62;
--good:#4fd0a8}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1160px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:36px 0 10px}h3{font-size:17px;margin:0}
small,figcaption,.note{color:var(--soft);font-weight:normal}h3 small{font-size:13px;margin-left:6px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 16px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
.wide{overflow-x:auto}.wide table{font-size:13px}
article{background:var(--card);border-left:4px solid var(--good);border-radius:4px;padding:12px 16px;margin:0 0 16px}
article.failed{border-color:var(--bad)}article p{margin:2px 0}
.verdict{font-weight:600;color:var(--good)}.failed .verdict{color:var(--bad)}
.three{display:grid;grid-template-columns:repeat(3,1fr);gap:10px;margin-top:10px}
figure{margin:0}img{width:100%;display:block;border-radius:3px}figcaption{font-size:12px;margin-top:2px}
.bar{display:flex;height:30px;border-radius:4px;overflow:hidden}
.bar span{color:#fff;font-size:13px;line-height:30px;padding-left:6px;min-width:0;overflow:hidden}
.answer{background:#009e73}.lifting{background:#cc79a7}.choice{background:#d55e00}.segmentation{background:#555}
.parts{padding:0;list-style:none}.parts i{display:inline-block;width:12px;height:12px;border-radius:2px;
margin-right:8px;vertical-align:-1px}.legend{color:var(--soft);font-size:13px}
.legend span{display:inline-block;width:12px;height:12px;border-radius:2px;margin:0 5px 0 12px;vertical-align:-1px}
.both{background:#009e73}.much{background:#d55e00}.missed{background:#56b4e9}
@media(max-width:700px){.three{grid-template-columns:1fr}}
"""
