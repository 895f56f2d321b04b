"""What is wrong with a set of images and labels, before anything is learned from them."""
