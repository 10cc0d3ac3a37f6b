// How the structs of the contract with the worker lie in memory: size and offsets, a line each, as
// measured by code that takes addresses, not as attributes say.

using System.Globalization;
using System.Reflection;
using System.Reflection.Emit;

namespace Site;

internal static class Layout
{
    public static Task AbiLayout(HttpContext context)
    {
        var server = AppDomain.CurrentDomain.GetAssemblies().Single(found => found.GetName().Name == "Ancm.Server");
        var lines = server.GetTypes()
            .Where(type => type.Namespace == "Ancm.Server.Native" && type.IsValueType && type.StructLayoutAttribute is { Size: > 0 })
            .Where(type => !type.IsNested)
            .SelectMany(Measure);
        return context.Response.WriteAsync(string.Join('\n', lines.Order(StringComparer.Ordinal)));
    }

    private static IEnumerable<string> Measure(Type type)
    {
        var name = type.Name["Native".Length..];
        yield return string.Create(CultureInfo.InvariantCulture, $"{name} {SizeOf(type)}");
        foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"{name}.{field.Name} {OffsetOf(type, field)}");
        }
    }

    private static long SizeOf(Type type)
        => Run(type, code => code.Emit(OpCodes.Sizeof, type));

    private static long OffsetOf(Type type, FieldInfo field)
        => Run(type, code =>
        {
            var value = code.DeclareLocal(type);
            code.Emit(OpCodes.Ldloca, value);
            code.Emit(OpCodes.Ldflda, field);
            code.Emit(OpCodes.Conv_U);
            code.Emit(OpCodes.Ldloca, value);
            code.Emit(OpCodes.Conv_U);
            code.Emit(OpCodes.Sub);
        });

    private static long Run(Type type, Action<ILGenerator> body)
    {
        var method = new DynamicMethod("Measure", typeof(long), null, type.Module, skipVisibility: true);
        var code = method.GetILGenerator();
        body(code);
        code.Emit(OpCodes.Conv_I8);
        code.Emit(OpCodes.Ret);
        return method.CreateDelegate<Func<long>>()();
    }
}
