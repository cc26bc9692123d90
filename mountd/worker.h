#ifndef FIRN_MOUNTD_WORKER_H_
#define FIRN_MOUNTD_WORKER_H_

namespace firn {

// What the worker's process does: parses images and serves a session for the keeper at the other
// end of `socket` (a WorkerChannel, where the messages are), without privileges and confined to
// serving. Returns the process's exit code: 0 when the session has ended or the keeper asked it to
// end; without its keeper it goes on serving.
//
// Messages of the keeper, each but "attach" answered with {"ok": true, …} or {"error": …}, in this
// order:
//   {"op": "start", "threads": N, "cache_bytes": N, "max_background": N, "record": B}   first
//       with the session's memory, the prefetch's state and, to "record", the pipe for the profile
//   {"op": "serve", "above_images": B, "careful": B}
//       with /dev/fuse; waits a moment for images that are being opened
//   {"op": "attach", "slot": N, "file_system": N, "path": S, "foreign": B, "drop_stored": B,
//    "proved": B, "verify": "checksum" | "proof", "expected_id": S, "owner": N}
//       with the image; before "serve" or after; {"opened": N, …} or {"opened": N, "error": …}
//       follows, when the file system that it lies on answers
//   {"op": "detach", "slot": N}
//       shows it no longer; when the kernel has forgotten it, {"released": N} follows
//   {"op": "prove", "slot": N}
//       compares all bytes with their digests, for hours if need be; {"proved": N, "ok": B} follows
//   {"op": "believe", "slot": N}
//       takes the digests for true: that was proved before
//   {"op": "drain"}
//       answered when no thread serves any more
// Of itself the worker also sends {"log": LEVEL, "message": S, "fields": {…}}.
int RunWorker(int socket);

}  // namespace firn

#endif  // FIRN_MOUNTD_WORKER_H_
