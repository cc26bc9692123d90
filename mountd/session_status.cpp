#include "mountd/session_status.h"

#include <nlohmann/json.hpp>

#include "format/error.h"

namespace firn {
namespace {

using nlohmann::json;

template <typename T>
void Take(const json& object, const char* key, T& value) {
  if (object.contains(key) && !object[key].is_null()) value = object[key].get<T>();
}

json OrNull(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

}  // namespace

json ToJson(const SessionStatus& status) {
  return {{"image", status.image},
          {"id", OrNull(status.id)},
          {"name", OrNull(status.name)},
          {"prefix", OrNull(status.prefix)},
          {"foreign", status.foreign},
          {"mount_point", status.mount_point},
          {"job", status.job},
          {"mount_namespace", status.namespace_id},
          {"view", status.view},
          {"view_reason", OrNull(status.view_reason)},
          {"pid", status.pid},
          {"worker", status.worker},
          {"restarts", status.restarts},
          {"uid", status.uid},
          {"version", status.version},
          {"control", status.control},
          {"started", status.started},
          {"age", status.age},
          {"threads", status.threads},
          {"requests", status.requests},
          {"requests_total", status.requests_total},
          {"decoded", status.decoded},
          {"cache",
           {{"hits", status.cache_hits},
            {"bytes", status.cache_bytes},
            {"capacity", status.cache_capacity}}},
          {"bytes_read", status.bytes_read},
          {"prefetch", ToJson(status.prefetch)},
          {"errors", status.errors}};
}

SessionStatus SessionStatusFrom(const json& object) {
  SessionStatus status;
  try {
    Take(object, "image", status.image);
    Take(object, "id", status.id);
    Take(object, "name", status.name);
    Take(object, "prefix", status.prefix);
    Take(object, "foreign", status.foreign);
    Take(object, "mount_point", status.mount_point);
    Take(object, "job", status.job);
    Take(object, "mount_namespace", status.namespace_id);
    Take(object, "view", status.view);
    Take(object, "view_reason", status.view_reason);
    Take(object, "pid", status.pid);
    Take(object, "worker", status.worker);
    Take(object, "restarts", status.restarts);
    Take(object, "uid", status.uid);
    Take(object, "version", status.version);
    Take(object, "control", status.control);
    Take(object, "started", status.started);
    Take(object, "age", status.age);
    Take(object, "threads", status.threads);
    Take(object, "requests", status.requests);
    Take(object, "requests_total", status.requests_total);
    Take(object, "decoded", status.decoded);
    if (object.contains("cache")) {
      Take(object["cache"], "hits", status.cache_hits);
      Take(object["cache"], "bytes", status.cache_bytes);
      Take(object["cache"], "capacity", status.cache_capacity);
    }
    Take(object, "bytes_read", status.bytes_read);
    if (object.contains("prefetch")) {
      Take(object["prefetch"], "stage", status.prefetch.stage);
      Take(object["prefetch"], "steps", status.prefetch.steps);
      Take(object["prefetch"], "done", status.prefetch.done);
      Take(object["prefetch"], "missing", status.prefetch.missing);
      Take(object["prefetch"], "failed", status.prefetch.failed);
      Take(object["prefetch"], "bytes", status.prefetch.bytes);
    }
    Take(object, "errors", status.errors);
  } catch (const json::exception& error) {
    throw Error(ErrorKind::kNoReply,
                std::string("expected a session's status, found something else: ") + error.what());
  }
  return status;
}

}  // namespace firn
