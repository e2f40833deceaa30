//! What holds for every place; the local folder stands for it.

use super::*;

fn local() -> (tempfile::TempDir, Artifacts) {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(folder.path().join("root").to_str().unwrap(), None).unwrap();
    (folder, artifacts)
}

#[tokio::test]
async fn what_is_logged_is_listed_and_read() {
    let (_folder, artifacts) = local();
    artifacts.log_text("hello", "a/b.txt").await.unwrap();
    artifacts.log_dict(&serde_json::json!({"k": "ü"}), "a/c.json").await.unwrap();
    artifacts.log_dict(&serde_json::json!({"k": 1}), "c.yaml").await.unwrap();
    let names: Vec<_> = artifacts.list("").await.unwrap().into_iter().map(|file| file.path).collect();
    assert_eq!(names, ["a", "c.yaml"]);
    let b = FileInfo { path: "a/b.txt".to_owned(), is_dir: false, size: Some(5) };
    assert_eq!(artifacts.list("a").await.unwrap()[0], b);
    assert_eq!(artifacts.list("a/b.txt").await.unwrap(), []);
    assert_eq!(artifacts.list("none").await.unwrap(), []);
    assert_eq!(artifacts.read("a/c.json").await.unwrap(), b"{\n  \"k\": \"\\u00fc\"\n}");
    assert_eq!(artifacts.read("c.yaml").await.unwrap(), b"k: 1\n");
    assert!(matches!(artifacts.read("no").await, Err(TrackingError::NotFound { .. })));
}

#[tokio::test]
async fn folders_go_up_and_come_down_whole() {
    let (folder, artifacts) = local();
    let source = folder.path().join("source");
    std::fs::create_dir_all(source.join("deep/er")).unwrap();
    std::fs::write(source.join("one"), "1").unwrap();
    std::fs::write(source.join("deep/er/two"), "2").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(source.join("one"), source.join("link")).unwrap();
    artifacts.log_artifacts(&source, "in").await.unwrap();
    artifacts.log_artifact(source.join("one"), "").await.unwrap();
    let to = folder.path().join("down");
    assert_eq!(artifacts.download("", &to).await.unwrap(), to);
    for (file, content) in [("one", "1"), ("in/one", "1"), ("in/deep/er/two", "2"), ("in/link", "1")] {
        assert_eq!(std::fs::read_to_string(to.join(file)).unwrap(), content, "{file}");
    }
    let one = artifacts.download("in/deep/er/two", folder.path().join("single")).await.unwrap();
    assert_eq!(one, folder.path().join("single/in/deep/er/two"));
    assert!(artifacts.download("absent", &to).await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_leads_nowhere_else() {
    let (folder, artifacts) = local();
    artifacts.log_text("x", "x").await.unwrap();
    let outside = folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "s").unwrap();
    std::os::unix::fs::symlink(&outside, folder.path().join("root/out")).unwrap();
    assert!(artifacts.read("out/secret").await.is_err());
    assert!(artifacts.log_text("y", "out/new").await.is_err());
    assert!(artifacts.list("out").await.is_err());
    assert!(!outside.join("new").exists());
}

#[test]
fn a_uri_that_cannot_be_used_names_the_way_out() {
    for (uri, part) in [
        ("mlflow-artifacts:/1/x", "http:// address of the server"),
        ("gs://bucket/x", "--artifacts-destination"),
        ("file://other/x", "another machine"),
        ("", "empty"),
    ] {
        let error = Artifacts::open(uri, None).unwrap_err().to_string();
        assert!(error.contains(part), "{uri}: {error}");
    }
}

#[test]
fn local_uris_are_read_as_paths() {
    for (uri, path) in
        [("file:///a%20b/c", "/a b/c"), ("file:rel", "rel"), ("file://localhost/x", "/x"), ("./m/0", "./m/0")]
    {
        let artifacts = Artifacts::open(uri, None).unwrap();
        assert!(format!("{:?}", artifacts.place).contains(&format!("{path:?}")), "{uri}: {artifacts:?}");
    }
}
