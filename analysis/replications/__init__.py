"""Published results of causal scrubbing, run again on models that come with Loupe, and hypotheses that must be caught.

`looking` reads attention and `ablating` takes heads away, which together say which head does what before any scrub;
`brackets`, `induction` and `language_model` turn what was found into experiments, which are kept as files; `table` says
which row each is; `replicate` runs them all, and `recorded` reads what came out. `recorded` is free of torch.
"""
