"""A folder of images and a folder of label maps, whatever their names, in our layout."""
