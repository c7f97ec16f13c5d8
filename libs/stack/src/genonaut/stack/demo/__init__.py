"""The demo: a small gallery, and the platform's main job done in front of a person, every step checked."""
