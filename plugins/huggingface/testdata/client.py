"""Downloads acme/student into the first folder, and publishes the second one as acme/theirs."""

import sys

from huggingface_hub import HfApi, snapshot_download

to, source, commit = sys.argv[1:]
api = HfApi()
assert api.repo_info("acme/student").sha == commit
assert api.model_info("acme/student").card_data["base_model"] == "org/base"
snapshot_download("acme/student", revision=commit, local_dir=to)
api.create_repo("acme/theirs", private=True)
api.upload_folder(repo_id="acme/theirs", folder_path=source)
before = api.repo_info("acme/theirs").sha
api.upload_folder(repo_id="acme/theirs", folder_path=source)
assert api.repo_info("acme/theirs").sha == before, "a push without changes made a commit"
