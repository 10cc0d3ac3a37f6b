using System;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Ancm.Bootstrap;

/// <summary>
/// The way back into the handler library. Its address travels as the runtime property
/// <c>ANCM_HOST</c>; the layout is that of <c>bridge.rs</c>, which ships in the same package.
/// </summary>
internal static unsafe class Bridge
{
    internal const uint Failed = 2;
    internal const uint Step = 4;
    internal const uint Log = 5;

    private static readonly Table* s_table = Find();

    /// <summary>False when the assembly was loaded by somebody else than our handler.</summary>
    internal static bool IsPresent => s_table is not null;

    /// <summary>True once the server has reported that it serves.</summary>
    internal static bool IsReady => s_table is not null && s_table->IsReady() != 0;

    internal static void Report(uint kind, int code, string text)
    {
        if (s_table is null)
        {
            return;
        }

        var bytes = Encoding.UTF8.GetBytes(text);
        fixed (byte* first = bytes)
        {
            s_table->Life(kind, code, new Text { Pointer = first, Length = (nuint)bytes.Length });
        }
    }

    private static Table* Find()
    {
        var address = AppContext.GetData("ANCM_HOST") as string;
        return nuint.TryParse(address, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var value)
            ? (Table*)value
            : null;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Text
    {
        public byte* Pointer;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Table
    {
        public uint Size;
        public uint Version;
        public void* Host;
        public void* Attach;
        public delegate* unmanaged[Cdecl]<uint, int, Text, void> Life;
        public delegate* unmanaged[Cdecl]<uint> IsReady;
    }
}
