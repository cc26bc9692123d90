#ifndef FIRN_MOUNTD_MOUNT_RULES_H_
#define FIRN_MOUNTD_MOUNT_RULES_H_

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace firn {

// Who asks for a mount that root makes for him.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // further ones
};

// Has the calling thread access files as somebody else while it lasts, without the rights of root
// to pass by their permissions. The groups of the whole process are changed for good, so that it is
// for a process of its own. Throws kInternal.
class FileAccessAs {
 public:
  explicit FileAccessAs(const Identity& identity);
  ~FileAccessAs();
  FileAccessAs(const FileAccessAs&) = delete;
  FileAccessAs& operator=(const FileAccessAs&) = delete;

 private:
  uid_t own_uid_;
  gid_t own_gid_;
};

// May the user, as whom the caller accesses files (FileAccessAs), mount on the directory? By the
// rules of fusermount3: one that he may write to, if it is sticky his own, on a file system that
// people keep files in. `directory` may be O_PATH; `name` is its path, for messages. May wait for
// the directory's file system. Throws kMountPoint; kSystem where the kernel cannot tell.
void CheckMayMountOn(int directory, uid_t user, const std::string& name);

// What /etc/fuse.conf says of ordinary users.
struct FuseConf {
  bool user_allow_other = false;  // may others enter what a user serves?
  long mount_max = 1000;          // mounts of users at a time; negative: any number
};
FuseConf ParseFuseConf(std::string_view text);
// The file's; as if it were empty where it is missing.
FuseConf ReadFuseConf();

}  // namespace firn

#endif  // FIRN_MOUNTD_MOUNT_RULES_H_
