// SPDX-License-Identifier: Apache-2.0
// Error cases: images, modules, libraries, and what is looked up in them.
#include "tests/errors/table.h"

#define HEAD ".version 7.5\n.target sm_75\n.address_size 64\n"

static const char good[] = HEAD ".visible .entry k() { ret; }\n";

static void images(struct table *t)
{
    static const unsigned char elf[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0x33, 7};
    struct fixture *f = &t->f;
    section(t, "Images", A_CONTEXT, 0);
    CASE("none", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuModuleLoadData(&f->out.module, NULL));
    CASE("nowhere to put the module", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuModuleLoadData(NULL, good));
    CASE("words", CUDA_ERROR_INVALID_IMAGE, AT_CALL, REPORTED, "lupine#440, driver 590.48",
         cuModuleLoadData(&f->out.module, "these are no kernels"));
    CASE("PTX that begins with its target", CUDA_ERROR_INVALID_IMAGE, AT_CALL, REPORTED, "lupine#440, driver 590.48",
         cuModuleLoadData(&f->out.module, ".target sm_75\n.version 7.5\n.visible .entry k() { ret; }\n"));
    CASE("an empty text", CUDA_ERROR_INVALID_IMAGE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuModuleLoadData(&f->out.module, ""));
    CASE("an instruction that there is not", CUDA_ERROR_INVALID_PTX, AT_CALL, DOCUMENTED, "cuModuleLoadData: returns",
         cuModuleLoadData(&f->out.module, HEAD ".visible .entry k() { frobnicate.u32 %r1; ret; }\n"));
    CASE("PTX that ends too early", CUDA_ERROR_INVALID_PTX, AT_CALL, DOCUMENTED, "cuModuleLoadData: returns",
         cuModuleLoadData(&f->out.module, HEAD ".visible .entry k() {"));
    CASE("a register that is not declared", CUDA_ERROR_INVALID_PTX, AT_CALL, DOCUMENTED, "cuModuleLoadData: returns",
         cuModuleLoadData(&f->out.module, HEAD ".visible .entry k() { mov.u32 %r1, 3; ret; }\n"));
    CASE("PTX without a target", CUDA_ERROR_INVALID_PTX, AT_CALL, ASSUMED, "",
         cuModuleLoadData(&f->out.module, ".version 7.5\n.visible .entry k() { ret; }\n"));
    CASE("PTX for no architecture", CUDA_ERROR_INVALID_PTX, AT_CALL, ASSUMED, "",
         cuModuleLoadData(&f->out.module, ".version 7.5\n.target sm_999\n.address_size 64\n.visible .entry k() { ret; }\n"));
    CASE("PTX of a version to come", CUDA_ERROR_UNSUPPORTED_PTX_VERSION, AT_CALL, DOCUMENTED, "CUresult",
         cuModuleLoadData(&f->out.module, ".version 99.0\n.target sm_75\n.address_size 64\n.visible .entry k() { ret; }\n"));
    CASE("a file that is not there", CUDA_ERROR_FILE_NOT_FOUND, AT_CALL, DOCUMENTED, "cuModuleLoad: returns",
         cuModuleLoad(&f->out.module, "/nowhere/at/all.ptx"));
    CASE("no file name", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuModuleLoad: returns", cuModuleLoad(&f->out.module, NULL));
    CASE("a library of no image", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLibraryLoadData: returns",
         cuLibraryLoadData(&f->out.lib, NULL, NULL, NULL, 0, NULL, NULL, 0));
    CASE("a library, nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLibraryLoadData: returns",
         cuLibraryLoadData(NULL, good, NULL, NULL, 0, NULL, NULL, 0));
    CASE("a library of words", CUDA_ERROR_INVALID_IMAGE, AT_CALL, ASSUMED, "",
         cuLibraryLoadData(&f->out.lib, "these are no kernels", NULL, NULL, 0, NULL, NULL, 0));
    CASE("a library's file that is not there", CUDA_ERROR_FILE_NOT_FOUND, AT_CALL, DOCUMENTED, "cuLibraryLoadFromFile: returns",
         cuLibraryLoadFromFile(&f->out.lib, "/nowhere/at/all.fatbin", NULL, NULL, 0, NULL, NULL, 0));
    section(t, "Images that end inside a header", A_CONTEXT, UNDEFINED);
    CASE("an ELF file of a header", CUDA_ERROR_INVALID_IMAGE, AT_CALL, ASSUMED, "", cuModuleLoadData(&f->out.module, elf));
}

static void modules(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Modules", A_CONTEXT, 0);
    CASE("unloading none", CUDA_ERROR_INVALID_HANDLE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuModuleUnload(NULL));
    CASE("a kernel that it does not have", CUDA_ERROR_NOT_FOUND, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuModuleGetFunction(&f->out.function, f->module, "no such kernel"));
    CASE("a kernel of no name", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuModuleGetFunction(&f->out.function, f->module, ""));
    CASE("a kernel without a name", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuModuleGetFunction(&f->out.function, f->module, NULL));
    CASE("nowhere to put the kernel", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuModuleGetFunction(NULL, f->module, "fill"));
    CASE("a kernel of no module", CUDA_ERROR_INVALID_HANDLE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuModuleGetFunction(&f->out.function, NULL, "fill"));
    CASE("a variable for a kernel", CUDA_ERROR_NOT_FOUND, AT_CALL, DOCUMENTED, "cuModuleGetFunction",
         cuModuleGetFunction(&f->out.function, f->module, "counter"));
    CASE("a variable that it does not have", CUDA_ERROR_NOT_FOUND, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuModuleGetGlobal(&f->out.address, &f->out.size, f->module, "no such variable"));
    CASE("a kernel for a variable", CUDA_ERROR_NOT_FOUND, AT_CALL, ASSUMED, "",
         cuModuleGetGlobal(&f->out.address, &f->out.size, f->module, "fill"));
    CASE("a variable without a name", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuModuleGetGlobal(&f->out.address, &f->out.size, f->module, NULL));
    CASE("a variable of no name", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuModuleGetGlobal(&f->out.address, &f->out.size, f->module, ""));
    CASE("a variable of no module", CUDA_ERROR_INVALID_HANDLE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuModuleGetGlobal(&f->out.address, &f->out.size, NULL, "counter"));
    CASE("a variable, nowhere to put anything", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuModuleGetGlobal(NULL, NULL, f->module, "counter"));
    CASE("how many kernels, nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuModuleGetFunctionCount: returns",
         cuModuleGetFunctionCount(NULL, f->module));
    CASE("the kernels, nowhere to put them", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuModuleEnumerateFunctions: returns",
         cuModuleEnumerateFunctions(NULL, 4, f->module));
    CASE("how modules load, nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuModuleGetLoadingMode: returns",
         cuModuleGetLoadingMode(NULL));
    section(t, "Modules, and no error", A_CONTEXT, WRITES);
    CASE("only a variable's size", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuModuleGetGlobal",
         cuModuleGetGlobal(NULL, &f->out.size, f->module, "counter"));
    CASE("only a variable's address", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuModuleGetGlobal",
         cuModuleGetGlobal(&f->out.address, NULL, f->module, "counter"));
    section(t, "Unloaded modules, and what is no module", A_CONTEXT, UNDEFINED);
    CASE("unloading again", CUDA_ERROR_INVALID_HANDLE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuModuleUnload(f->dead_module));
    CASE("a kernel", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuModuleGetFunction(&f->out.function, f->dead_module, "nothing"));
    CASE("a variable", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "",
         cuModuleGetGlobal(&f->out.address, &f->out.size, f->dead_module, "counter"));
    CASE("how many kernels", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuModuleGetFunctionCount(&f->out.word, f->dead_module));
    CASE("a library for a module", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuModuleUnload((CUmodule)f->library));
}

static void libraries(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Libraries", A_CONTEXT, 0);
    CASE("a kernel that it does not have", CUDA_ERROR_NOT_FOUND, AT_CALL, DOCUMENTED, "cuLibraryGetKernel",
         cuLibraryGetKernel(&f->out.kernel, f->library, "no such kernel"));
    CASE("a kernel without a name", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLibraryGetKernel: returns",
         cuLibraryGetKernel(&f->out.kernel, f->library, NULL));
    CASE("nowhere to put the kernel", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLibraryGetKernel: returns",
         cuLibraryGetKernel(NULL, f->library, "nothing"));
    CASE("a variable that it does not have", CUDA_ERROR_NOT_FOUND, AT_CALL, DOCUMENTED, "cuLibraryGetGlobal",
         cuLibraryGetGlobal(&f->out.address, &f->out.size, f->library, "no such variable"));
    CASE("managed memory that it does not have", CUDA_ERROR_NOT_FOUND, AT_CALL, DOCUMENTED, "cuLibraryGetManaged",
         cuLibraryGetManaged(&f->out.address, &f->out.size, f->library, "no such variable"));
    CASE("nowhere to put the module", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLibraryGetModule: returns",
         cuLibraryGetModule(NULL, f->library));
    CASE("how many kernels, nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuLibraryGetKernelCount: returns",
         cuLibraryGetKernelCount(NULL, f->library));
    CASE("nowhere to put a kernel's library", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuKernelGetLibrary: returns",
         cuKernelGetLibrary(NULL, f->kernel));
    CASE("the library of no kernel", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuKernelGetLibrary: returns",
         cuKernelGetLibrary(&f->out.lib, NULL));
    CASE("unloading none", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuLibraryUnload(NULL));
    section(t, "Unloaded libraries", A_CONTEXT, UNDEFINED);
    CASE("unloading again", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuLibraryUnload(f->dead_library));
    CASE("a kernel", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuLibraryGetKernel: returns",
         cuLibraryGetKernel(&f->out.kernel, f->dead_library, "nothing"));
    CASE("the module", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuLibraryGetModule: returns",
         cuLibraryGetModule(&f->out.module, f->dead_library));
    CASE("a kernel's library", CUDA_ERROR_INVALID_HANDLE, AT_CALL, DOCUMENTED, "cuKernelGetLibrary: returns",
         cuKernelGetLibrary(&f->out.lib, f->dead_kernel));
}

void cases_module(struct table *t)
{
    images(t);
    modules(t);
    libraries(t);
}
