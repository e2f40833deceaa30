//! What a run used and made: datasets and models, as edges of the table `inputs`.

use std::collections::{BTreeMap, HashMap};

use super::session::{Fault, Row, Session, Value, places, values};
use super::{checks, runs};
use crate::mlflow::entities::{Dataset, DatasetInput, ModelInput, ModelOutput, RunInputs, Tag};
use crate::store::sql::random_id;
use crate::store::tracking::TrackingError;

const INSERT_DATASET: &str = "
    INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source,
        dataset_schema, dataset_profile)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";

const DATASET: &str =
    "SELECT dataset_uuid FROM datasets WHERE experiment_id = $1 AND name = $2 AND digest = $3";

const INSERT_EDGE: &str = "
    INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";

const INSERT_TAG: &str =
    "INSERT INTO input_tags (input_uuid, name, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

/// The run, its edge to the dataset, and the dataset.
const DATASET_COLUMNS: &str = "
    i.destination_id, i.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source, d.dataset_schema,
    d.dataset_profile";

const DATASETS: &str = "
    FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id
    WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id";

const TAGS: &str = "
    FROM inputs i JOIN input_tags t ON t.input_uuid = i.input_uuid
    WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id";

const MODELS: &str = "
    FROM inputs i WHERE i.source_type = 'RUN_INPUT' AND i.destination_type = 'MODEL_INPUT' AND i.source_id";

const NAME: usize = 500;
const DIGEST: usize = 36;
const SOURCE: usize = 65_535;
const SCHEMA: usize = 1_048_575;
const PROFILE: usize = 16_777_215;
const TAG_NAME: usize = 255;
const TAG_VALUE: usize = 500;

/// What to note of a run.
pub(super) struct Inputs {
    pub(super) run_id: String,
    pub(super) datasets: Vec<DatasetInput>,
    pub(super) models: Vec<ModelInput>,
}

pub(super) async fn log(db: &mut dyn Session, inputs: &Inputs) -> Result<(), Fault> {
    let Inputs { run_id, datasets, models } = inputs;
    datasets.iter().try_for_each(check)?;
    let experiment_id = checks::experiment_id(&runs::active(db, run_id).await?.experiment_id)?;
    // In the order of the primary key, as every writer of ours.
    let sorted: BTreeMap<_, _> =
        datasets.iter().rev().map(|input| ((&input.dataset.name, &input.dataset.digest), input)).collect();
    for input in sorted.into_values() {
        log_dataset(db, run_id, experiment_id, input).await?;
    }
    let edges = models
        .iter()
        .map(|model| values![random_id(), "RUN_INPUT", run_id, "MODEL_INPUT", &model.model_id, 0_i64]);
    db.execute_all(INSERT_EDGE, edges.collect()).await?;
    Ok(())
}

fn check(input: &DatasetInput) -> Result<(), TrackingError> {
    let Dataset { name, digest, source, schema, profile, .. } = &input.dataset;
    checks::at_most("the name of a dataset", name, NAME)?;
    checks::at_most("the digest of a dataset", digest, DIGEST)?;
    checks::at_most("the source of a dataset", source, SOURCE)?;
    checks::at_most("the schema of a dataset", schema.as_deref().unwrap_or_default(), SCHEMA)?;
    checks::at_most("the profile of a dataset", profile.as_deref().unwrap_or_default(), PROFILE)?;
    input.tags.iter().try_for_each(|tag| {
        checks::at_most("the name of a dataset's tag", &tag.key, TAG_NAME)?;
        checks::at_most("the value of a dataset's tag", &tag.value, TAG_VALUE)
    })
}

async fn log_dataset(
    db: &mut dyn Session,
    run_id: &str,
    experiment_id: i64,
    input: &DatasetInput,
) -> Result<(), Fault> {
    let Dataset { name, digest, source_type, source, schema, profile } = &input.dataset;
    let (schema, profile) = (schema.as_ref(), profile.as_ref());
    let row = values![random_id(), experiment_id, name, digest, source_type, source, schema, profile];
    db.execute(INSERT_DATASET, row).await?;
    let found = db.query(DATASET, values![experiment_id, name, digest]).await?;
    let dataset_id = found.first().map(|row| row.text(0)).unwrap_or_default();
    let input_id = random_id();
    let edge = values![&input_id, "DATASET", dataset_id, "RUN", run_id, 0_i64];
    // A dataset that the run has already keeps the tags that it has.
    if db.execute(INSERT_EDGE, edge).await? == 1 {
        let tags = input.tags.iter().map(|tag| values![&input_id, &tag.key, &tag.value]);
        db.execute_all(INSERT_TAG, tags.collect()).await?;
    }
    Ok(())
}

pub(super) async fn log_outputs(
    db: &mut dyn Session,
    (run_id, models): &(String, Vec<ModelOutput>),
) -> Result<(), Fault> {
    runs::active(db, run_id).await?;
    let edges = models
        .iter()
        .map(|model| values![random_id(), "RUN_OUTPUT", run_id, "MODEL_OUTPUT", &model.model_id, model.step]);
    db.execute_all(INSERT_EDGE, edges.collect()).await?;
    Ok(())
}

/// What each of some runs used.
pub(super) async fn of_runs(
    db: &mut dyn Session,
    run_ids: &[String],
) -> Result<HashMap<String, RunInputs>, Fault> {
    let ids: Vec<Value> = run_ids.iter().map(Value::from).collect();
    let places = places(run_ids.len());
    let mut tags: HashMap<String, Vec<Tag>> = HashMap::new();
    for row in db.query(&sql("i.input_uuid, t.name, t.value", TAGS, &places, "t.name"), ids.clone()).await? {
        tags.entry(row.text(0)).or_default().push(Tag { key: row.text(1), value: row.text(2) });
    }
    let mut inputs: HashMap<String, RunInputs> = HashMap::new();
    for row in db.query(&sql(DATASET_COLUMNS, DATASETS, &places, "d.name, d.digest"), ids.clone()).await? {
        let dataset = dataset(&row, tags.remove(&row.text(1)).unwrap_or_default());
        inputs.entry(row.text(0)).or_default().datasets.push(dataset);
    }
    for row in
        db.query(&sql("i.source_id, i.destination_id", MODELS, &places, "i.destination_id"), ids).await?
    {
        inputs.entry(row.text(0)).or_default().models.push(ModelInput { model_id: row.text(1) });
    }
    Ok(inputs)
}

fn sql(columns: &str, from: &str, places: &str, order: &str) -> String {
    format!("SELECT {columns} {from} IN ({places}) ORDER BY {order}")
}

fn dataset(row: &Row, tags: Vec<Tag>) -> DatasetInput {
    let dataset = Dataset {
        name: row.text(2),
        digest: row.text(3),
        source_type: row.text(4),
        source: row.text(5),
        schema: row.optional_text(6),
        profile: row.optional_text(7),
    };
    DatasetInput { dataset, tags }
}
