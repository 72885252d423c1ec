"""What people hold as sources of a run: paths, images, arrays, frames, datasets."""
