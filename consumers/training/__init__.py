"""`hearken train FOLDER`: training on one's own data, and the model card."""
