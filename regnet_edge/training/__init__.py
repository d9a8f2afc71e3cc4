"""Training as the paper does it: the plan, the loop, what a batch is, what a net reaches."""
