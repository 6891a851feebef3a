// SPDX-License-Identifier: Apache-2.0
// CUDA images: what cuModuleLoadData and cuLibraryLoadData get, read from hostile memory. Tells the kind and
// size of an image, walks the entries of a fatbin, the kernels of a cubin and the entries of a PTX text, and
// gives the parameter layout of each.
//
// Nothing is copied or unpacked; all results point into the image, which must stay where it is while they are
// used. Bytes may be unaligned. Whatever is refused comes with a struct gn_image_error: where (byte offset
// from the start of what was given) and why.
#ifndef GN_CORE_IMAGE_H
#define GN_CORE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GN_WRAPPER_MAGIC      0x466243b1u
#define GN_IMAGE_SIZE_UNKNOWN SIZE_MAX // cuModuleLoadData gives a pointer and no length

// 4 GiB: eight times the largest CUDA library there is (541 MB), so a lying header cannot make anyone walk or
// send an address space.
#define GN_IMAGE_SIZE_MAX ((uint64_t)4 << 30)
// 1 GiB of PTX text: the scan for its NUL must end.
#define GN_IMAGE_PTX_MAX ((uint64_t)1 << 30)

enum {
    GN_IMAGE_PARAM_BYTES_MAX = 32764, // what CUDA 12.1 and later take
    GN_IMAGE_PARAMS_MAX = 32764,      // a parameter has at least one byte
    GN_IMAGE_WRAPPED_MAX = 4096,      // fatbins behind one version-2 wrapper: one a translation unit
    GN_IMAGE_NAME_MAX = 64 << 10,     // of a kernel in a cubin; mangled C++ names reach some thousand bytes
    GN_CUBIN_SECTIONS_MAX =
        1 << 20, // a kernel has about five sections; the largest known cubin has some thousands
};

struct gn_image_error {
    const char *reason; // one phrase, static; NULL when there is no error
    uint64_t
        offset_bytes; // what it is about: from the start of the image (in a fatbin's entry: of the fatbin)
};

enum gn_image_kind {
    GN_IMAGE_NONE,
    GN_IMAGE_PTX,     // text
    GN_IMAGE_CUBIN,   // ELF64 for the CUDA machine
    GN_IMAGE_FATBIN,  // a header and entries
    GN_IMAGE_WRAPPER, // what nvcc's host code holds: pointers to fatbins
};

struct gn_image {
    enum gn_image_kind kind;
    const void *data;          // as given
    uint64_t size_bytes;       // of the whole image; PTX: with its NUL; wrapper: of the wrapper alone
    uint32_t wrapper_version;  // 1 or 2
    const void *fatbin;        // wrapper: the (linked) fatbin; not looked at
    const void *const *linked; // wrapper version 2: NULL-terminated array of the fatbins that were linked, or
                               // NULL; not looked at
    struct gn_image_error error;
};

// Says what `data` is. avail_bytes: how much may be read there, or GN_IMAGE_SIZE_UNKNOWN: then the image's
// own headers are believed up to the limits above. A wrapper's pointers are taken over but never followed
// here: do so only in the process that made it. 0; -EINVAL: truncated, inconsistent or no image at all
// (out->error says); -E2BIG: over a limit.
int gn_image_probe(const void *data, size_t avail_bytes, struct gn_image *out);

// The fatbins behind a wrapper of this very process: *at starts at 0, NULL at the end (or after
// GN_IMAGE_WRAPPED_MAX). The first is the wrapper's own, then come version 2's. Reads memory through the
// wrapper's pointers.
const void *gn_image_wrapped(const struct gn_image *wrapper, uint32_t *at);
// How many fatbins those are: 0, or -E2BIG over GN_IMAGE_WRAPPED_MAX.
int gn_image_wrapped_count(const struct gn_image *wrapper, uint32_t *count);

// --- fatbin

enum gn_fatbin_kind {
    GN_FATBIN_PTX = 1,
    GN_FATBIN_CUBIN = 2,
    GN_FATBIN_LTOIR = 8
}; // others occur; skip them

enum gn_fatbin_flag {
    GN_FATBIN_64BIT = 0x1,
    GN_FATBIN_DEBUG = 0x2,
    GN_FATBIN_LINUX = 0x10,
    GN_FATBIN_LZ4 = 0x2000,           // the payload is one LZ4 block
    GN_FATBIN_ZSTD = 0x8000,          // ... one zstd frame
    GN_FATBIN_ARCH_ONLY = 0x100000,   // sm_90a: runs on exactly this SM
    GN_FATBIN_FAMILY_ONLY = 0x200000, // sm_100f: on this SM and later ones of its major version
};

struct gn_fatbin_entry {
    uint32_t kind; // enum gn_fatbin_kind
    uint32_t sm;   // 75, 90, 100
    uint64_t flags;
    const uint8_t *payload;
    uint64_t payload_bytes;    // in the container, with padding
    uint64_t compressed_bytes; // of the payload, without padding; 0 = raw
    uint64_t
        uncompressed_bytes; // what it unpacks to by its header (a claim until unpacked); raw: payload_bytes
    const char *name;       // of the source file, not NUL-terminated; NULL when there is none
    uint64_t name_bytes;
    uint64_t offset_bytes; // of the entry in the fatbin
};

struct gn_fatbin_iter {
    const uint8_t *data;
    uint64_t size_bytes, at_bytes;
    struct gn_image_error error;
};

// Starts at the header of a fatbin, of which avail_bytes may be read (or GN_IMAGE_SIZE_UNKNOWN). 0, -EINVAL
// or -E2BIG.
int gn_fatbin_begin(struct gn_fatbin_iter *it, const void *data, size_t avail_bytes);
// 1 = *entry holds the next one; 0 = the end; -EINVAL = malformed (it->error), and again at every later call.
int gn_fatbin_next(struct gn_fatbin_iter *it, struct gn_fatbin_entry *entry);

// Can this entry run on a device of this SM (the driver compiles PTX for any later SM; a cubin runs within
// its major version)?
bool gn_fatbin_fits(const struct gn_fatbin_entry *entry, uint32_t device_sm);

// --- parameters of a kernel, from either source

struct gn_image_param {
    uint32_t offset_bytes, size_bytes; // in the parameter block; index is the place in the array
};

// --- cubin

struct gn_cubin {
    const uint8_t *data;
    uint64_t size_bytes;
    uint32_t sm;
    bool is_relocatable;                         // made for linking (-rdc): no kernel to launch yet
    uint64_t sections_at, names_at, names_bytes; // section headers, their names
    uint32_t section_count;
    uint64_t symbols_at, strings_at, strings_bytes;
    uint32_t symbol_count;
    uint32_t info_section; // .nv.info, or 0
    bool reserves_shared; // SM 90 and later: .nv.shared sections hold the 1 KiB that CUDA keeps for itself in
                          // each block
    uint32_t section_at;  // where the walk over kernels stands
    uint64_t bytes_left;  // what the walk may still read
    struct gn_image_error error;
};

struct gn_cubin_kernel {
    const char *name; // not NUL-terminated within name_bytes, but a NUL follows
    uint64_t name_bytes;
    uint32_t param_count; // 0 with param_bytes > 0: the file does not tell the layout
    uint32_t param_bytes;
    uint32_t max_threads;       // of .maxntid or .reqntid; 0 = not told
    uint32_t required_block[3]; // of .reqntid; 0 = none
    uint32_t text_section, symbol;
    uint64_t info_at, info_bytes; // .nv.info.<name>
};

struct gn_cubin_resources {
    uint32_t registers;           // a thread; 0 = not told
    uint32_t static_shared_bytes; // a block, without what CUDA reserves
    uint32_t local_bytes;         // a thread's stack frame
};

// Opens a cubin of exactly size_bytes (gn_image_probe tells) and checks its tables. 0, -EINVAL, -E2BIG.
int gn_cubin_open(struct gn_cubin *cubin, const void *data, uint64_t size_bytes);
// Walks the kernels, in time linear in the file. 1 = *kernel holds the next one; 0 = the end; -EINVAL;
// -E2BIG: sections or names are used again and again, so that the walk would read more than twice the file.
int gn_cubin_next(struct gn_cubin *cubin, struct gn_cubin_kernel *kernel);
// Fills params[0 .. param_count - 1]. 0; -ENOSPC: max is below param_count; -EINVAL: missing, doubled or
// outside the block.
int gn_cubin_params(struct gn_cubin *cubin, const struct gn_cubin_kernel *kernel,
                    struct gn_image_param *params, uint32_t max);
// What the kernel needs, as the file says. Looks through the file once a call. 0 or -EINVAL.
int gn_cubin_resources(struct gn_cubin *cubin, const struct gn_cubin_kernel *kernel,
                       struct gn_cubin_resources *resources);

// --- PTX text

struct gn_ptx_iter {
    const char *text;
    uint64_t size_bytes, at_bytes;
    struct gn_image_error error;
};

struct gn_ptx_entry {
    const char *name; // not NUL-terminated
    uint64_t name_bytes;
    uint32_t param_count, param_bytes; // param_bytes: end of the last parameter
};

// Walks the .entry definitions of a text (declarations without a body are passed over); stops at size_bytes
// or a NUL.
void gn_ptx_begin(struct gn_ptx_iter *it, const char *text, uint64_t size_bytes);
// 1 = *entry holds the next one and params[] its layout; 0 = the end; -EINVAL: not to be read as PTX;
// -ENOSPC: more than max parameters; -E2BIG: the block is over GN_IMAGE_PARAM_BYTES_MAX. params may be NULL
// with max 0 only to count: then no -ENOSPC.
int gn_ptx_next(struct gn_ptx_iter *it, struct gn_ptx_entry *entry, struct gn_image_param *params,
                uint32_t max);
// Is this PTX: does it begin, after blanks and comments, with .version?
bool gn_ptx_is_text(const char *text, uint64_t size_bytes);
// The SM of the first .target (75; 90 for sm_90a), or 0 when there is none.
uint32_t gn_ptx_target(const char *text, uint64_t size_bytes);

// The layout of one entry by its name. 0; -ENOENT: no such entry; otherwise as gn_ptx_next. error may be
// NULL.
int gn_image_params_ptx(const char *text, uint64_t size_bytes, const char *name,
                        struct gn_image_param *params, uint32_t max, struct gn_ptx_entry *entry,
                        struct gn_image_error *error);

#endif
