"""`hearken train FOLDER`: training on the user's own data, and the model card."""
