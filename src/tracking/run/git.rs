//! The commit of a working tree, read from git's files: a run must not need git, nor wait for it.

use std::fs;
use std::path::{Path, PathBuf};

/// What a repository stands at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Id of the commit.
    pub(super) commit: String,
    /// Name of the branch, unless the head is detached.
    pub(super) branch: Option<String>,
    /// Address of the first remote, without credentials.
    pub(super) remote: Option<String>,
}

/// The folder with git's files for a folder in a working tree.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find_map(|folder| {
        let git = folder.join(".git");
        if git.is_dir() {
            return git.join("HEAD").is_file().then_some(git);
        }
        // A further working tree has a file that names the folder.
        let text = fs::read_to_string(&git).ok()?;
        Some(folder.join(text.strip_prefix("gitdir:")?.trim()))
    })
}

/// What git's files say.
pub(super) fn head(git: &Path) -> Option<Head> {
    let text = fs::read_to_string(git.join("HEAD")).ok()?;
    // What all working trees share.
    let common = match fs::read_to_string(git.join("commondir")) {
        Ok(relative) => git.join(relative.trim()),
        Err(_) => git.to_owned(),
    };
    let remote = fs::read_to_string(common.join("config")).ok().and_then(|config| remote(&config));
    let Some(reference) = text.strip_prefix("ref:").map(str::trim) else {
        return Some(Head { commit: commit(&text)?, branch: None, remote });
    };
    let loose = [git, &common].into_iter().find_map(|folder| fs::read_to_string(folder.join(reference)).ok());
    let commit = match loose {
        Some(text) => commit(&text)?,
        None => packed(&fs::read_to_string(common.join("packed-refs")).ok()?, reference)?,
    };
    let branch = reference.strip_prefix("refs/heads/").map(str::to_owned);
    Some(Head { commit, branch, remote })
}

/// An id in hexadecimal, of SHA-1 or SHA-256.
fn commit(text: &str) -> Option<String> {
    let id = text.trim();
    let valid = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| id.to_owned())
}

fn packed(text: &str, reference: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(_, name)| *name == reference).and_then(|(id, _)| commit(id))
}

/// The address of the first remote of a configuration.
fn remote(config: &str) -> Option<String> {
    let mut inside = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.starts_with("[remote ");
        } else if let Some((key, value)) = line.split_once('=')
            && inside
            && key.trim() == "url"
        {
            return Some(without_user(value.trim()));
        }
    }
    None
}

/// Tags are shown to everybody.
fn without_user(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = place.rsplit('@').next().unwrap_or(place);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn repository() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join(".git");
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let config =
            "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://me:token@h.example/a@b.git\n";
        fs::write(git.join("config"), config).unwrap();
        (folder, git)
    }

    fn expected() -> Head {
        Head {
            commit: ID.to_owned(),
            branch: Some("main".to_owned()),
            remote: Some("https://h.example/a@b.git".to_owned()),
        }
    }

    #[test]
    fn the_commit_is_found_loose_packed_and_detached() {
        let (folder, git) = repository();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(find(&deep).unwrap(), git);
        assert_eq!(head(&git), None);
        fs::write(git.join("packed-refs"), format!("# pack-refs\n{ID} refs/heads/main\n")).unwrap();
        assert_eq!(head(&git), Some(expected()));
        fs::remove_file(git.join("packed-refs")).unwrap();
        fs::write(git.join("refs/heads/main"), format!("{ID}\n")).unwrap();
        assert_eq!(head(&git), Some(expected()));
        fs::write(git.join("HEAD"), format!("{ID}\n")).unwrap();
        assert_eq!(head(&git), Some(Head { branch: None, ..expected() }));
    }

    #[test]
    fn a_further_working_tree_shares_its_branches() {
        let (folder, git) = repository();
        fs::write(git.join("refs/heads/side"), ID).unwrap();
        let own = git.join("worktrees/side");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("HEAD"), "ref: refs/heads/side\n").unwrap();
        fs::write(own.join("commondir"), "../..\n").unwrap();
        let tree = folder.path().join("side");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        let found = head(&find(&tree).unwrap());
        assert_eq!(found, Some(Head { branch: Some("side".to_owned()), ..expected() }));
    }

    #[test]
    fn addresses_lose_their_credentials() {
        assert_eq!(without_user("git@h.example:a/b.git"), "git@h.example:a/b.git");
        assert_eq!(without_user("ssh://git@h.example"), "ssh://h.example");
    }
}
