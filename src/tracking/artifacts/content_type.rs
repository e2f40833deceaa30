//! What a file name says of the content. MLflow's server goes by the name itself; what is sent only
//! informs proxies and object stores.

/// The media type of a file name, as MLflow's client guesses it for the usual ones.
pub(super) fn of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or(name, |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "txt" | "log" | "json" | "yaml" | "yml" | "md" | "csv" | "tsv" | "py" | "rs" | "js" | "ini"
        | "cfg" | "conf" | "toml" | "sh" | "rst" | "xml" | "mlmodel" | "mlproject" => "text/plain",
        "html" | "htm" => "text/html",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "wav" => "audio/x-wav",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}
