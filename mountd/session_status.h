#ifndef FIRN_MOUNTD_SESSION_STATUS_H_
#define FIRN_MOUNTD_SESSION_STATUS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "mountd/prefetch_status.h"

namespace firn {

// What a session tells of itself. Counts are since its start; bytes are bytes, times seconds.
struct SessionStatus {
  std::string image;  // path
  std::string id;     // "sha256:…"; empty for a foreign image
  std::string name;   // of the image's manifest, as is the prefix; empty for a foreign image
  std::string prefix;
  bool foreign = false;
  std::string mount_point;    // for a job: where it sees the image
  bool job = false;           // started by `firn run`
  uint64_t namespace_id = 0;  // firnd's mount namespace (inode of /proc/PID/ns/mnt)
  std::string view;           // "overlay" or "direct"
  std::string view_reason;    // why it is direct where nobody asked for that; empty otherwise
  pid_t pid = 0;              // of firnd, its keeper
  pid_t worker = 0;           // of the process that serves; -1 while it is being replaced
  uint64_t restarts = 0;      // of it
  uid_t uid = 0;
  std::string version;  // of firnd
  std::string control;  // path of the control socket
  int64_t started = 0;  // since 1970
  int64_t age = 0;
  unsigned threads = 0;
  std::map<std::string, uint64_t> requests;  // by opcode
  uint64_t requests_total = 0;
  std::map<std::string, uint64_t> decoded;  // blocks, by kind
  uint64_t cache_hits = 0;
  uint64_t cache_bytes = 0;
  uint64_t cache_capacity = 0;
  uint64_t bytes_read = 0;  // from the image file
  PrefetchStatus prefetch;
  std::map<std::string, uint64_t> errors;  // requests answered with EIO or ENOMEM, by cause
};

nlohmann::json ToJson(const SessionStatus& status);
// Throws kNoReply for what ToJson() never gave. What is missing keeps its default: another version
// of firnd may know less.
SessionStatus SessionStatusFrom(const nlohmann::json& object);

}  // namespace firn

#endif  // FIRN_MOUNTD_SESSION_STATUS_H_
