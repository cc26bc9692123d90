#include "format/sign_image.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include "format/appendix.h"
#include "format/error.h"
#include "format/layout.h"

namespace firn {
namespace {

constexpr uint64_t kCopyPiece = uint64_t{8} << 20;

// What is there already, to be added to.
SignatureArea FormerArea(const std::optional<SignatureArea>& found, const Digest& id,
                         const std::string& path) {
  if (!found) return {.image_id = id, .signatures = {}};
  if (found->image_id == id) return *found;
  throw Error(ErrorKind::kDamaged,
              "the signatures there are over another image, " + FormatImageId(found->image_id) +
                  "; this one is " + FormatImageId(id),
              "Give --discard to put the new one in their place.")
      .WithPath(path);
}

SignatureArea AreaFor(int fd, const Appendix& appendix, const std::string& path,
                      const std::string& target, const SignOptions& options) {
  if (options.discard) return {.image_id = appendix.id(), .signatures = {}};
  const std::optional<SignatureArea> found =
      options.detached ? ReadDetachedSignatures(target) : ReadSignatures(fd, appendix, path);
  return FormerArea(found, appendix.id(), target);
}

void CopyByHand(int from, int to, uint64_t done, uint64_t length) {
  std::vector<std::byte> piece(std::min(length - done, uint64_t{1} << 20));
  while (done < length) {
    const MutableByteSpan bytes =
        MutableByteSpan(piece).first(std::min<uint64_t>(piece.size(), length - done));
    if (ReadAt(from, done, bytes) != bytes.size()) {
      throw DamagedError("the image got shorter while it was copied", done);
    }
    WriteAt(to, done, bytes);
    done += bytes.size();
  }
}

// The kernel copies, which on file systems that share blocks between files (XFS, Btrfs) takes
// neither time nor room, and on some network file systems happens at the server.
void CopyBytes(int from, int to, uint64_t length, const SignOptions& options) {
  uint64_t done = 0;
  while (done < length) {
    auto in = static_cast<off_t>(done);
    auto out = in;
    const ssize_t copied =
        copy_file_range(from, &in, to, &out, std::min(kCopyPiece, length - done), 0);
    if (copied < 0 && errno == EINTR) continue;
    if (copied <= 0) break;  // where the file systems cannot, or the storage fails, which shows
    done += static_cast<uint64_t>(copied);
    if (options.progress) options.progress(done, length);
  }
  CopyByHand(from, to, done, length);
}

// A copy by somebody else would be that user's, and so would be what is believed of it.
void KeepOwnerAndMode(int from, int to, const std::string& path) {
  struct stat status {};
  if (fstat(from, &status) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot stat").WithPath(path);
  }
  if (status.st_uid != geteuid() && fchown(to, status.st_uid, status.st_gid) != 0) {
    throw Error(ErrorKind::kOutput,
                "the image belongs to uid " + std::to_string(status.st_uid) +
                    ", and would become yours by being signed",
                "Give --detached, which leaves the image as it is.")
        .WithPath(path);
  }
  // A group that its owner is not in is no reason not to sign; who may read it is the mode's
  // matter.
  if (status.st_uid == geteuid() && fchown(to, static_cast<uid_t>(-1), status.st_gid) != 0) {
    status.st_mode &= ~static_cast<mode_t>(S_IRWXG);
  }
  if (fchmod(to, status.st_mode & 07777) != 0) {
    throw SystemError(ErrorKind::kOutput, errno, "cannot give the signed image its mode")
        .WithPath(path);
  }
}

void WriteSigned(const FileDescriptor& image, const Appendix& appendix, const SignatureArea& area,
                 const std::string& path, const SignOptions& options) {
  Footer footer = appendix.footer();
  const uint64_t core_end = footer.core_offset + footer.core_length;
  OutputFile output(path, /*replace=*/true);
  CopyBytes(image.get(), output.fd(), core_end, options);
  KeepOwnerAndMode(image.get(), output.fd(), path);
  const std::vector<std::byte> bytes = area.Encode();
  footer.signatures_offset = core_end;
  footer.signatures_length = bytes.size();
  footer.file_length = core_end + bytes.size() + kFooterLength;
  WriteAt(output.fd(), core_end, bytes);
  WriteAt(output.fd(), core_end + bytes.size(), footer.Encode());
  output.Commit();
}

// The file that the name leads to, as a symlink itself is not to be replaced.
std::string RealPath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

}  // namespace

SignSummary SignImage(FileDescriptor image, const std::string& path, const PrivateKey& key,
                      const SignOptions& options) {
  const Appendix appendix = Appendix::ReadImage(image.get(), path);
  const std::string target = options.detached ? DetachedPathOf(path) : RealPath(path);
  SignatureArea area = AreaFor(image.get(), appendix, path, target, options);
  SignSummary summary{.id = appendix.id(), .written = options.detached ? target : path};
  const ImageSignature* const former = area.Find(key.named().key);
  summary.is_new = former == nullptr || !area.IsRight(*former);
  if (summary.is_new) {
    area.Add(key);
    if (options.detached) {
      OutputFile output(target, /*replace=*/true);
      WriteAt(output.fd(), 0, area.Encode());
      output.Commit();
    } else {
      WriteSigned(image, appendix, area, target, options);
    }
  }
  summary.signatures = area.signatures.size();
  return summary;
}

}  // namespace firn
