"""The mathematics of GPT-2: parameters, forward and backward passes, what is kept between them."""
