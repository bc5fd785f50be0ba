"""What is going on, live: a Streamlit app over study folders and MLflow."""
