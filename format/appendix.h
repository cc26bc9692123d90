#ifndef FIRN_FORMAT_APPENDIX_H_
#define FIRN_FORMAT_APPENDIX_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/digest.h"
#include "format/layout.h"
#include "format/manifest.h"
#include "format/profile.h"
#include "format/types.h"

namespace firn {

// What stands behind the SquashFS part of an image: its footer and core table, read and checked.
// Immutable, hence thread-safe.
class Appendix {
 public:
  // nullopt where the file is a SquashFS file without mark and without footer: a foreign one.
  // Throws kDamaged where it is neither, or an image cut short, longer than it should be, or
  // damaged in mark, footer or core table; kUnsupported for a newer version. Reads a few hundred
  // bytes. `path` is for messages; `fd` is not kept.
  static std::optional<Appendix> Read(int fd, const std::string& path);
  // The same, throwing kUnsupported for a foreign file.
  static Appendix ReadImage(int fd, const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t file_length() const { return footer_.file_length; }
  const Footer& footer() const { return footer_; }
  const CoreTable& core() const { return core_; }
  const Digest& id() const { return footer_.image_id; }

  // The whole content of a section, checked against its digest. Throws kDamaged where it is
  // missing, longer than `limit` bytes or not what the digest says.
  std::vector<std::byte> ReadSection(int fd, std::string_view name, uint64_t limit) const;
  std::string ReadManifestYaml(int fd) const;
  Manifest ReadManifest(int fd) const;
  // nullopt where the image has none. Throws kDamaged for anything but a whole profile.
  std::optional<Profile> ReadProfile(int fd) const;

 private:
  Appendix(std::string path, Footer footer, CoreTable core);

  std::string path_;
  Footer footer_;
  CoreTable core_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_APPENDIX_H_
