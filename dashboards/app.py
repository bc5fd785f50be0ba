"""The live app for `streamlit run dashboards/app.py -- runs/`; all of it is `sslsearch.dashboard`.

`python -m sslsearch.dashboard runs/` starts the same with settings that keep it on loopback.
"""

from sslsearch.dashboard.app import main

main()
