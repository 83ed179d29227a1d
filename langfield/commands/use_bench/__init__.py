"""Parts of `langfield bench suite`: what labels say of things, clicks drawn from them, and what is measured."""
