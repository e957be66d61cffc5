least_found = 0.85
least_kept  = 0.97
serve_path  = "serve/prod"
