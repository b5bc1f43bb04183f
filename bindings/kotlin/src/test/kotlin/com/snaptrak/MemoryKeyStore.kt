package com.snaptrak

import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.spec.GCMParameterSpec

private const val NONCE_BYTES = 12
private const val TAG_BITS = 128

/**
 * A key store that is only as safe as this process's memory: for tests. On a device the platform's takes its place.
 *
 * It asks [instead] first, which may throw what a platform's key store would.
 */
internal class MemoryKeyStore(
    @Volatile var instead: (KeyClass) -> Unit = {},
) : KeyStore {
    private val key = KeyGenerator.getInstance("AES").apply { init(256) }.generateKey()

    override fun wrap(
        keyClass: KeyClass,
        keys: ByteArray,
        associatedData: ByteArray,
    ): WrappedKeys {
        instead(keyClass)
        val cipher = Cipher.getInstance("AES/GCM/NoPadding")
        cipher.init(Cipher.ENCRYPT_MODE, key)
        cipher.updateAAD(associatedData)
        return WrappedKeys("""{"kind": "memory"}""", cipher.iv + cipher.doFinal(keys))
    }

    override fun unwrap(
        keyClass: KeyClass,
        wrapped: WrappedKeys,
        associatedData: ByteArray,
    ): ByteArray {
        instead(keyClass)
        val cipher = Cipher.getInstance("AES/GCM/NoPadding")
        cipher.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(TAG_BITS, wrapped.sealed, 0, NONCE_BYTES))
        cipher.updateAAD(associatedData)
        try {
            return cipher.doFinal(wrapped.sealed, NONCE_BYTES, wrapped.sealed.size - NONCE_BYTES)
        } catch (_: AEADBadTagException) {
            throw KeyStoreFailure.Damaged()
        }
    }
}
