//! A real MLflow server, started for a test and stopped after it.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running server with a database of its own.
pub(crate) struct MlflowServer {
    venv: PathBuf,
    process: Child,
    pub(crate) uri: String,
    _folder: tempfile::TempDir,
}

impl MlflowServer {
    /// Starts the MLflow of a Python environment; its backend is SQLite, or files.
    pub(crate) fn start(venv: &Path, file_store: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let backend = match file_store {
            true => folder.path().join("mlruns").display().to_string(),
            false => format!("sqlite:///{}", folder.path().join("mlflow.db").display()),
        };
        let log = std::fs::File::create(folder.path().join("server.log")).unwrap();
        let process = Command::new(venv.join("bin/mlflow"))
            .args(["server", "--host", "127.0.0.1", "--workers", "1", "--port", &port.to_string()])
            .args(["--backend-store-uri", &backend, "--artifacts-destination"])
            .arg(folder.path().join("artifacts"))
            .current_dir(folder.path())
            .env("PATH", format!("{}:{}", venv.join("bin").display(), std::env::var("PATH").unwrap()))
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env("MLFLOW_ALLOW_FILE_STORE", "true")
            .env("MLFLOW_MODEL_CATALOG_URI", "")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        Self { venv: venv.to_owned(), process, uri: format!("http://127.0.0.1:{port}"), _folder: folder }
    }

    /// Runs Python in the server's environment, and reads what it prints as JSON.
    pub(crate) fn python(&self, arguments: &[&str]) -> Value {
        let output = Command::new(self.venv.join("bin/python")).args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
    }
}

impl Drop for MlflowServer {
    fn drop(&mut self) {
        // The server's workers are in its process group.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
        let _ = self.process.wait();
    }
}
