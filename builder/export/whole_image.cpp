#include "builder/export/whole_image.h"

#include "format/error.h"

namespace firn {
namespace {

constexpr uint64_t kPieceLength = uint64_t{1} << 20;

}  // namespace

void CheckIsWhole(const Image& image) {
  if (image.foreign() || !image.manifest().base) return;
  throw Error(ErrorKind::kUnsupported,
              "holds only what differs from its base, " + image.manifest().base->id,
              "'firn flatten' makes one image of both, which can be exported.")
      .WithPath(image.path());
}

void ReadContent(const Image& image, const Inode& file,
                 const std::function<void(uint64_t offset, ByteSpan bytes, bool is_hole)>& take) {
  uint64_t at = 0;
  while (at < file.size) {
    const uint64_t before = at;
    for (const FilePiece& piece : image.Read(file, at, kPieceLength)) {
      take(at, piece.bytes, piece.owner == nullptr);
      at += piece.bytes.size();
    }
    if (at == before) throw DamagedError("a file ends before its size").WithPath(image.path());
  }
}

}  // namespace firn
