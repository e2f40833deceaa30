//! Names in the registry: their tags and aliases.

use std::collections::BTreeMap;

use super::session::{Fault, Row, Session, values};
use super::{checks, experiments, versions};
use crate::mlflow::entities::{RegisteredModel, Tag};
use crate::store::sql::now_ms;
use crate::store::tracking::TrackingError;

const INSERT: &str = "
    INSERT INTO registered_models (name, creation_time, last_updated_time, description, workspace)
    VALUES ($1, $2, $2, $3, 'default') ON CONFLICT DO NOTHING";

const BY_NAME: &str = "
    SELECT name, description, creation_time, last_updated_time FROM registered_models
    WHERE name = $1 AND workspace = 'default'";

const UPSERT_TAG: &str = "
    INSERT INTO registered_model_tags (key, value, name, workspace) VALUES ($1, $2, $3, 'default')
    ON CONFLICT (workspace, key, name) DO UPDATE SET value = excluded.value";

const TAGS: &str = "
    SELECT key, value FROM registered_model_tags WHERE name = $1 AND workspace = 'default' ORDER BY key";

const ALIASES: &str = "
    SELECT alias, version FROM registered_model_aliases WHERE name = $1 AND workspace = 'default' ORDER BY alias";

const UPSERT_ALIAS: &str = "
    INSERT INTO registered_model_aliases (alias, version, name, workspace) VALUES ($1, $2, $3, 'default')
    ON CONFLICT (workspace, name, alias) DO UPDATE SET version = excluded.version";

const DELETE_ALIAS: &str = "
    DELETE FROM registered_model_aliases WHERE alias = $1 AND name = $2 AND workspace = 'default'";

/// A name to be.
pub(super) struct Creation {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) tags: Vec<Tag>,
}

pub(super) async fn create(db: &mut dyn Session, creation: &Creation) -> Result<RegisteredModel, Fault> {
    let Creation { name, description, tags } = creation;
    checks::registered_name(name)?;
    tags.iter().try_for_each(checks::registry_tag)?;
    // A server stores what is not given as an empty text.
    let about = description.as_deref().unwrap_or_default();
    if db.execute(INSERT, values![name, now_ms(), about]).await? == 0 {
        return Err(TrackingError::AlreadyExists {
            message: format!(
                "{name:?} exists already in the registry; add a version to it, or choose another name"
            ),
        }
        .into());
    }
    put_tags(db, name, tags).await?;
    get(db, name).await
}

async fn put_tags(db: &mut dyn Session, name: &str, tags: &[Tag]) -> Result<(), Fault> {
    let tags: BTreeMap<_, _> = tags.iter().map(|tag| (&tag.key, &tag.value)).collect();
    let rows = tags.into_iter().map(|(key, value)| values![key, value, name]);
    db.execute_all(UPSERT_TAG, rows.collect()).await?;
    Ok(())
}

pub(super) async fn get(db: &mut dyn Session, name: &String) -> Result<RegisteredModel, Fault> {
    checks::registered_name(name)?;
    let rows = db.query(BY_NAME, values![name]).await?;
    let row = rows.first().ok_or_else(|| no_name(name))?;
    complete(db, row).await
}

pub(super) fn no_name(name: &str) -> TrackingError {
    TrackingError::not_found(format!("there is no {name:?} in the registry"))
}

/// The model of a row of [`BY_NAME`].
pub(super) async fn complete(db: &mut dyn Session, row: &Row) -> Result<RegisteredModel, Fault> {
    let name = row.text(0);
    let tags = db.query(TAGS, values![&name]).await?;
    let aliases = db.query(ALIASES, values![&name]).await?;
    Ok(RegisteredModel {
        name,
        description: row.filled_text(1),
        creation_time_ms: row.int(2),
        last_updated_time_ms: row.int(3),
        tags: tags.iter().map(experiments::tag).collect(),
        aliases: aliases.iter().map(|row| (row.text(0), row.int(1).to_string())).collect(),
    })
}

pub(super) async fn set_tag(db: &mut dyn Session, (name, tag): &(String, Tag)) -> Result<(), Fault> {
    checks::registry_tag(tag)?;
    get(db, name).await?;
    put_tags(db, name, std::slice::from_ref(tag)).await
}

/// Name, alias and version.
pub(super) type Aliased = (String, String, String);

pub(super) async fn set_alias(db: &mut dyn Session, (name, alias, version): &Aliased) -> Result<(), Fault> {
    checks::new_alias(alias)?;
    versions::get(db, &(name.clone(), version.clone())).await?;
    db.execute(UPSERT_ALIAS, values![alias, checks::version(version)?, name]).await?;
    Ok(())
}

pub(super) async fn delete_alias(
    db: &mut dyn Session,
    (name, alias): &(String, String),
) -> Result<(), Fault> {
    checks::alias(alias)?;
    get(db, name).await?;
    db.execute(DELETE_ALIAS, values![alias, name]).await?;
    Ok(())
}

/// The number of the version that an alias stands for.
pub(super) async fn version_of(db: &mut dyn Session, name: &String, alias: &str) -> Result<String, Fault> {
    let model = get(db, name).await?;
    let found = model.aliases.into_iter().find(|(known, _)| known == alias);
    let (_, version) = found.ok_or_else(|| {
        TrackingError::not_found(format!("{name:?} in the registry has no alias {alias:?}"))
    })?;
    Ok(version)
}
