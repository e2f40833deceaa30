//! The statements that write rows.

pub(super) const COPY_TRACES: &str = "
    COPY trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, request_preview,
        response_preview, db_payload_generation, trace_name, session_id, input_tokens, output_tokens, total_tokens,
        cache_read_input_tokens, cache_creation_input_tokens, cache_creation_input_tokens_above_1hr,
        input_cost, output_cost, total_cost)
    FROM STDIN (FORMAT binary)";

pub(super) const UPDATE_TRACES: &str = "
    UPDATE trace_info SET experiment_id = n.experiment_id, timestamp_ms = n.timestamp_ms,
        execution_time_ms = n.execution_time_ms, status = n.status, request_preview = n.request_preview,
        response_preview = n.response_preview, db_payload_generation = n.db_payload_generation,
        trace_name = n.trace_name, session_id = n.session_id, input_tokens = n.input_tokens,
        output_tokens = n.output_tokens, total_tokens = n.total_tokens,
        cache_read_input_tokens = n.cache_read_input_tokens,
        cache_creation_input_tokens = n.cache_creation_input_tokens,
        cache_creation_input_tokens_above_1hr = n.cache_creation_input_tokens_above_1hr,
        input_cost = n.input_cost, output_cost = n.output_cost, total_cost = n.total_cost
    FROM UNNEST($1::text[], $2::int4[], $3::int8[], $4::int8[], $5::text[], $6::text[], $7::text[],
        $8::int4[], $9::text[], $10::text[], $11::int8[], $12::int8[], $13::int8[], $14::int8[], $15::int8[],
        $16::int8[], $17::float8[], $18::float8[], $19::float8[]) AS n (request_id, experiment_id, timestamp_ms,
        execution_time_ms, status, request_preview, response_preview, db_payload_generation, trace_name, session_id,
        input_tokens, output_tokens, total_tokens, cache_read_input_tokens, cache_creation_input_tokens,
        cache_creation_input_tokens_above_1hr, input_cost, output_cost, total_cost)
    WHERE trace_info.request_id = n.request_id";

pub(super) const MOVE_ASSESSMENTS: &str = "
    UPDATE assessments SET trace_timestamp_ms = n.start_ms
    FROM UNNEST($1::text[], $2::int8[]) AS n (trace_id, start_ms) WHERE assessments.trace_id = n.trace_id";

pub(super) const COPY_SPANS: &str = "
    COPY spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status, start_time_unix_nano,
        end_time_unix_nano, content, input_cost, output_cost, total_cost, model_name, model_provider)
    FROM STDIN (FORMAT binary)";

pub(super) const UPSERT_SPANS: &str = "
    INSERT INTO spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status, start_time_unix_nano,
        end_time_unix_nano, content, input_cost, output_cost, total_cost, model_name, model_provider)
    SELECT * FROM UNNEST($1::text[], $2::int4[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::int8[], $9::int8[], $10::text[], $11::float8[], $12::float8[], $13::float8[], $14::text[], $15::text[])
    ON CONFLICT (trace_id, span_id) DO UPDATE SET experiment_id = excluded.experiment_id,
        parent_span_id = excluded.parent_span_id, name = excluded.name, type = excluded.type, status = excluded.status,
        start_time_unix_nano = excluded.start_time_unix_nano, end_time_unix_nano = excluded.end_time_unix_nano,
        content = excluded.content, input_cost = excluded.input_cost, output_cost = excluded.output_cost,
        total_cost = excluded.total_cost, model_name = excluded.model_name, model_provider = excluded.model_provider";

pub(super) const COPY_TAGS: &str = "COPY trace_tags (key, value, request_id) FROM STDIN (FORMAT binary)";

pub(super) const UPSERT_TAGS: &str = "
    INSERT INTO trace_tags (key, value, request_id) SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[])
    ON CONFLICT (key, request_id) DO UPDATE SET value = excluded.value";

pub(super) const COPY_METADATA: &str =
    "COPY trace_request_metadata (key, value, request_id) FROM STDIN (FORMAT binary)";

pub(super) const INSERT_METADATA: &str = "
    INSERT INTO trace_request_metadata (key, value, request_id)
    SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING";

pub(super) const DELETE_MARKS: &str =
    "DELETE FROM trace_tags WHERE key = ANY ($1::text[]) AND request_id = ANY ($2::text[])";

pub(super) const LINK_RUNS: &str = "
    INSERT INTO entity_associations (association_id, source_type, source_id, destination_type, destination_id,
        created_time)
    SELECT association_id, 'trace', source_id, 'run', destination_id, $4
    FROM UNNEST($1::text[], $2::text[], $3::text[]) AS n (association_id, source_id, destination_id)
    ON CONFLICT DO NOTHING";
