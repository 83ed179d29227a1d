"""One file per panel of the page; `viewer.app` lists them."""
