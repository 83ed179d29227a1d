"""What happens in the scene `changes`: the timeline, the cameras, the words for it, and the files of labels."""
