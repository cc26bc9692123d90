#ifndef FIRN_MOUNTD_NODE_PROTOCOL_H_
#define FIRN_MOUNTD_NODE_PROTOCOL_H_

#include <string>

// What clients and the firnd of a node, or of a job, say to each other: messages of a
// WorkerChannel, over the socket kNodeSocket, or that of the job, in the runtime directory. Each
// request is answered with {"ok": true, …} or {"error": …}; a client may send the next one only
// then.
//
//   {"op": "attach", "path": S, "foreign": B, "prefetch": B, "view": B,
//    "lease": "process" | "mount" | "name", "name": S}
//       with the image, open for reading; also "signatures", areas in hexadecimal digits, and
//       "signature_damage", why there may be more; and "owner", its uid, for a firnd in a user
//       namespace that cannot tell users apart. Answered with "slot", "id", "name" and "prefix" of
//       the image, and where "view" is true with a detached mount of it and, where "user_namespace"
//       is true, with the user namespace in which it can be placed. A lease of kind "mount" lasts
//       as long as the connection until it is "placed"; "name" is its mount point.
//       With "place" true, to root's firnd, it is mounted for the client: on the directory whose
//       descriptor comes second, if the client may mount there by fusermount3's rules. Then
//       "mount_id" and "mount_point" are answered, and no descriptors.
//       With "below", an array of {"path": S, "owner": N} and signatures likewise, the lowest image
//       first, whose descriptors come last, the view is of what the image shows over those; each is
//       leased with it. "below" is answered with how many.
//   {"op": "unmount", "mount_id": N, "lazy": B}  such a mount of the client's
//   {"op": "placed", "mount_id": N}      the view just given has been mounted
//   {"op": "detach", "lease": S}         ends the leases of that name
//   {"op": "namespace"}                  answered with the user namespace of the views to come,
//                                        where "user_namespace" is true
//   {"op": "status"}                     answered with a file: what the caller may see, as JSON
//   {"op": "upgrade"}                    workers and keeper are replaced by the program as it is on
//       disk, which answers with "workers", how many, and "version", its own
//
// A connection that breaks before an answer is one of a firnd that is being restarted: the client
// makes another one and asks again.
namespace firn {

inline constexpr char kNodeSocket[] = "firnd.sock";
inline constexpr char kNodeLock[] = "firnd.lock";
// Of a system's firnd.
inline constexpr char kSystemDirectory[] = "/run/firn";

}  // namespace firn

#endif  // FIRN_MOUNTD_NODE_PROTOCOL_H_
