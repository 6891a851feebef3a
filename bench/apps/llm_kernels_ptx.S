// SPDX-License-Identifier: Apache-2.0
// The PTX of llm_kernels.cu as a NUL-terminated string in the program, so that the binary runs alone. The path
// is relative to the build's top folder.
    .section .rodata
    .global llm_kernels_ptx
    .type llm_kernels_ptx, @object
llm_kernels_ptx:
    .incbin "bench/apps/llm_kernels.ptx"
    .byte 0
    .size llm_kernels_ptx, . - llm_kernels_ptx
    .section .note.GNU-stack, "", @progbits
