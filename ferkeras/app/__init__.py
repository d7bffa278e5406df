"""The page of `ferkeras app`: what it answers (model, picture, video, camera, about), how it looks (page), and how it
is handed out (server). Only the last two need Gradio."""
