# objc_msgSend and relatives for x86-64 System V.
# A hit in the direct-mapped method cache jumps straight to the method; a miss saves every argument register and asks C++.

.set CACHE_MASK, 4095

# Tail-jump to the cached method of class %r10 and selector \sel, else fall through. Clobbers %r10 and %r11 only.
.macro TRY_CACHE sel
    movq %rax, -8(%rsp)
    movq %r10, %r11
    shrq $3, %r11
    xorq \sel, %r11
    andq $CACHE_MASK, %r11
    movq softmetal_objc_cache@GOTPCREL(%rip), %rax
    movq (%rax,%r11,8), %r11
    movq -8(%rsp), %rax
    testq %r11, %r11
    je 2f
    cmpq %r10, 0(%r11)
    jne 2f
    cmpq \sel, 8(%r11)
    jne 2f
    jmpq *16(%r11)
2:
.endm

.macro SAVE_ARGUMENTS
    pushq %rbp
    movq %rsp, %rbp
    subq $192, %rsp
    movdqa %xmm0, 0(%rsp)
    movdqa %xmm1, 16(%rsp)
    movdqa %xmm2, 32(%rsp)
    movdqa %xmm3, 48(%rsp)
    movdqa %xmm4, 64(%rsp)
    movdqa %xmm5, 80(%rsp)
    movdqa %xmm6, 96(%rsp)
    movdqa %xmm7, 112(%rsp)
    movq %rdi, 128(%rsp)
    movq %rsi, 136(%rsp)
    movq %rdx, 144(%rsp)
    movq %rcx, 152(%rsp)
    movq %r8, 160(%rsp)
    movq %r9, 168(%rsp)
    movq %rax, 176(%rsp)
.endm

.macro RESTORE_ARGUMENTS
    movdqa 0(%rsp), %xmm0
    movdqa 16(%rsp), %xmm1
    movdqa 32(%rsp), %xmm2
    movdqa 48(%rsp), %xmm3
    movdqa 64(%rsp), %xmm4
    movdqa 80(%rsp), %xmm5
    movdqa 96(%rsp), %xmm6
    movdqa 112(%rsp), %xmm7
    movq 128(%rsp), %rdi
    movq 136(%rsp), %rsi
    movq 144(%rsp), %rdx
    movq 152(%rsp), %rcx
    movq 160(%rsp), %r8
    movq 168(%rsp), %r9
    movq 176(%rsp), %rax
    leave
.endm

# \receiver holds the object (or the objc_super), \sel the selector; a nil receiver returns zeros.
.macro SEND name, receiver, sel
.globl \name
.type \name, @function
\name:
    testq \receiver, \receiver
    je 1f
    movq (\receiver), %r10
    TRY_CACHE \sel
    SAVE_ARGUMENTS
.ifc \receiver, %rsi
    movq %rsi, %rdi
    movq %rdx, %rsi
.endif
    call softmetal_objc_lookup@PLT
    movq %rax, %r11
    RESTORE_ARGUMENTS
    jmpq *%r11
1:
    xorl %eax, %eax
    xorl %edx, %edx
    pxor %xmm0, %xmm0
    pxor %xmm1, %xmm1
    ret
.size \name, .-\name
.endm

.macro SEND_SUPER name, context
.globl \name
.type \name, @function
\name:
    SAVE_ARGUMENTS
.ifc \context, %rsi
    movq %rsi, %rdi
    movq %rdx, %rsi
.endif
    call softmetal_objc_lookup_super@PLT
    movq %rax, %r11
    RESTORE_ARGUMENTS
    movq (\context), \context
    jmpq *%r11
.size \name, .-\name
.endm

.text
SEND objc_msgSend, %rdi, %rsi
SEND objc_msgSend_stret, %rsi, %rdx
SEND_SUPER objc_msgSendSuper2, %rdi
SEND_SUPER objc_msgSendSuper2_stret, %rsi
.section .note.GNU-stack, "", @progbits
