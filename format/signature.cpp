#include "format/signature.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "format/error.h"
#include "format/file.h"
#include "format/little_endian.h"

namespace firn {
namespace {

constexpr std::string_view kAreaMagic = "FIRNSIGN";
// No other program that signs 32 bytes with the same key signs an image by that.
constexpr std::string_view kSignedPrefix = "firn image signature";

template <typename Structure>
void AppendBytes(std::vector<std::byte>& to, const Structure& from) {
  to.insert(to.end(), from.bytes.begin(), from.bytes.end());
}

template <typename Structure>
Structure LoadBytes(ByteSpan bytes, size_t at) {
  Structure loaded;
  std::memcpy(loaded.bytes.data(), bytes.data() + at, loaded.bytes.size());
  return loaded;
}

Error DamagedArea(const std::string& what) {
  return Error(
      ErrorKind::kDamaged, "the signatures are damaged: " + what,
      "The image itself may be whole ('firn verify' tells). Fetch the signatures again, or "
      "have it signed anew ('firn sign --discard').");
}

}  // namespace

std::array<std::byte, kSignedMessageLength> SignedMessage(const Digest& image_id) {
  static_assert(kSignedPrefix.size() + 4 + sizeof(Digest) == kSignedMessageLength);
  std::array<std::byte, kSignedMessageLength> message;
  std::memcpy(message.data(), kSignedPrefix.data(), kSignedPrefix.size());
  StoreLe<uint32_t>(message.data() + kSignedPrefix.size(), kFormatVersion);
  std::ranges::copy(image_id.bytes, message.begin() + kSignedPrefix.size() + 4);
  return message;
}

std::vector<std::byte> SignatureArea::Encode() const {
  const auto magic = std::as_bytes(std::span(kAreaMagic));
  std::vector<std::byte> bytes(magic.begin(), magic.end());
  AppendLe<uint32_t>(bytes, kFormatVersion);
  AppendLe<uint32_t>(bytes, static_cast<uint32_t>(signatures.size()));
  AppendBytes(bytes, image_id);
  for (const ImageSignature& signature : signatures) {
    AppendBytes(bytes, signature.key);
    AppendBytes(bytes, signature.signature);
  }
  AppendLe<uint64_t>(bytes, Xxh3Of(bytes));
  return bytes;
}

SignatureArea SignatureArea::Decode(ByteSpan bytes) {
  if (bytes.size() < kHeadLength + kChecksumLength || bytes.size() > kMaxLength ||
      std::memcmp(bytes.data(), kAreaMagic.data(), kAreaMagic.size()) != 0) {
    throw DamagedArea("expected FIRNSIGN and at most " + std::to_string(kMaxSignatures) +
                      " signatures, found something else");
  }
  const size_t checked = bytes.size() - kChecksumLength;
  if (LoadLe<uint64_t>(bytes.data() + checked) != Xxh3Of(bytes.first(checked))) {
    throw DamagedArea("their checksum is wrong");
  }
  const uint32_t version = LoadLe<uint32_t>(bytes.data() + 8);
  if (version != kFormatVersion) {
    throw Error(ErrorKind::kUnsupported,
                "the signatures have format version " + std::to_string(version) +
                    ", this firn reads version " + std::to_string(kFormatVersion),
                "Use a newer firn.");
  }
  const uint32_t count = LoadLe<uint32_t>(bytes.data() + 12);
  if (checked != kHeadLength + uint64_t{count} * kSignatureLength) {
    throw DamagedArea("their number is not that of the bytes");
  }
  SignatureArea area;
  area.image_id = LoadBytes<Digest>(bytes, 16);
  for (size_t at = kHeadLength; at < checked; at += kSignatureLength) {
    area.signatures.push_back(
        {LoadBytes<PublicKey>(bytes, at), LoadBytes<Ed25519Signature>(bytes, at + 32)});
  }
  return area;
}

bool SignatureArea::IsRight(const ImageSignature& signature) const {
  return IsSignatureOf(signature.key, SignedMessage(image_id), signature.signature);
}

const ImageSignature* SignatureArea::Find(const PublicKey& key) const {
  const auto found = std::ranges::find(signatures, key, &ImageSignature::key);
  return found == signatures.end() ? nullptr : &*found;
}

void SignatureArea::Add(const PrivateKey& key) {
  std::erase_if(signatures,
                [&](const ImageSignature& other) { return other.key == key.named().key; });
  if (signatures.size() == kMaxSignatures) {
    throw Error(ErrorKind::kOutput,
                "there are " + std::to_string(kMaxSignatures) + " signatures, as many as can be",
                "Drop them with --discard.");
  }
  signatures.push_back({key.named().key, key.Sign(SignedMessage(image_id))});
}

std::optional<SignatureArea> ReadSignatures(int fd, const Appendix& appendix,
                                            const std::string& path) {
  const Footer& footer = appendix.footer();
  if (footer.signatures_length == 0) return std::nullopt;
  try {
    if (footer.signatures_length > SignatureArea::kMaxLength) {
      throw DamagedArea("they take " + std::to_string(footer.signatures_length) + " bytes");
    }
    std::vector<std::byte> bytes(footer.signatures_length);
    if (ReadAt(fd, footer.signatures_offset, bytes) != bytes.size()) {
      throw DamagedArea("the file ends early");
    }
    return SignatureArea::Decode(bytes);
  } catch (const Error& error) {
    throw error.WithPath(path).WithOffset(footer.signatures_offset);
  }
}

std::string DetachedPathOf(const std::string& image_path) { return image_path + ".sig"; }

std::optional<SignatureArea> ReadDetachedSignatures(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) {
    if (errno == ENOENT) return std::nullopt;
    throw SystemError(ErrorKind::kInput, errno, "cannot open the signatures").WithPath(path);
  }
  struct stat status {};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kInput, "expected signatures, found something else than a regular file")
        .WithPath(path);
  }
  try {
    std::vector<std::byte> bytes(SignatureArea::kMaxLength + 1);
    bytes.resize(ReadAt(file.get(), 0, bytes));
    return SignatureArea::Decode(bytes);
  } catch (const Error& error) {
    throw error.WithPath(path);
  }
}

}  // namespace firn
